/* The answer of `postern resolve`: a JSON value, printed as it is or as text. */
#ifndef COMMANDS_RESOLVE_ANSWER_H
#define COMMANDS_RESOLVE_ANSWER_H

#include <jansson.h>

#include "rewrite/resolve_trace.h"

/* Where the steps go that are told next, and what tables were asked since the last one. */
struct answer_steps {
	json_t *steps, *lookups;
};

/* text as a JSON string, with a '?' for what is not UTF-8; null for NULL. */
json_t *answer_text(const char *text);
void answer_set(json_t *object, const char *name, const char *text);
/* The record of a resolve_trace and a maps_observer; arg is a struct answer_steps. */
void answer_step(void *arg, const struct resolve_step *step);
void answer_lookup(void *arg, const char *table, struct str key, enum table_status status, struct str value);

void answer_print_text(const json_t *answer);
void answer_print_json(const json_t *answer);

#endif
