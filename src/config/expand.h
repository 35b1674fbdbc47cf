/*
 * The $name language of main.cf values: $name $(name) ${name} ${name?text} ${name?{text}:{text}} ${name:text}
 * ${name:{text}}
 * ${{text} == {text} ? {text} : {text}} with == != < <= >= >, numbers compared as numbers; a "level" after
 * the operator compares compatibility levels. $$ is a dollar sign. A name counts as set when its value is not
 * empty.
 */
#ifndef CONFIG_EXPAND_H
#define CONFIG_EXPAND_H

#include "base/buf.h"
#include "base/err.h"

enum expand_found {
	EXPAND_UNDEFINED, /* expands to nothing */
	EXPAND_FINAL,	  /* the value is taken as it is */
	EXPAND_AGAIN	  /* the value is expanded in turn */
};

typedef enum expand_found (*expand_lookup_fn)(void *arg, const char *name, const char **value);

#define EXPAND_MAX (256 * 1024) /* bytes of a result */

/* Appends the expansion to out; false with err on a syntax error, on values that refer to themselves and past
 * EXPAND_MAX. */
bool expand(const char *text, expand_lookup_fn lookup, void *arg, struct buf *out, struct err *err);
/* Calls seen for every name that the text mentions, in all branches; false with err on a syntax error. */
typedef void (*expand_seen_fn)(void *arg, const char *name);
bool expand_names(const char *text, expand_seen_fn seen, void *arg, struct err *err);

#endif
