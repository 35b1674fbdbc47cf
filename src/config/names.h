/* Every name of a configuration and its value before expansion: defaults of rows, main.cf, overrides. Used by
 * config_load and postconf. */
#ifndef CONFIG_NAMES_H
#define CONFIG_NAMES_H

#include "base/hash.h"
#include "config/expand.h"
#include "config/main_cf.h"
#include "config/rows.h"

struct name_value {
	const char *raw;
	const char *text;      /* expanded, once names_expand was called; NULL: not yet, or impossible */
	const struct row *row; /* NULL: user-defined */
	bool twin;	       /* the row's lmtp_ twin */
	bool set;	       /* in main.cf or by an override */
};

struct config_names {
	struct pool *pool;
	struct hash *values; /* struct name_value by name */
	const char *directory;
	const char *main_text, *master_text; /* NULL: in the file */
	bool origin_from_file;
};

/* With the rows' defaults. */
struct config_names *names_new(const char *directory);
void names_free(struct config_names **n);
struct name_value *names_find(const struct config_names *n, const char *name); /* NULL: undefined */
struct name_value *names_define(
	struct config_names *n, const char *name); /* makes an empty one if there is none */
void names_set(struct config_names *n, const char *name, const char *raw);
/* Warns of entries that override an earlier one. path is for messages. */
void names_take(
	struct config_names *n, const struct main_cf *m, const char *path, config_warn_fn warn, void *arg);
/* Computes the defaults that depend on the system and on other values. */
bool names_compute(struct config_names *n, struct err *err);
/* The expanded value; NULL with err. Lives as long as n. */
const char *names_expand(struct config_names *n, const char *name, struct err *err);
/* The default of name as its row has it, twin or not; NULL: computed or no row. */
const char *names_default(struct config_names *n, const char *name);
/* For expand(): arg is the struct config_names. */
enum expand_found names_look_up(void *arg, const char *name, const char **value);

#endif
