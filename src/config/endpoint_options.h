/*
 * How list parameters name the operator's services (milters, policy servers): an endpoint, or a list in
 * braces with settings for this one service:  { inet:host:port, name = value, { name = value with blanks } }.
 * Restrictions name a table with settings in the same way.
 */
#ifndef CONFIG_ENDPOINT_OPTIONS_H
#define CONFIG_ENDPOINT_OPTIONS_H

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

/* Takes one setting; false with err: unknown, or a bad value. */
typedef bool endpoint_setting_fn(void *arg, struct str name, struct str value, struct err *err);

/* text: one item of the list; *item: the first word of one in braces, or all of it. what: its kind, for err.
 */
bool item_options_parse(struct str text, const char *what, struct str *item, endpoint_setting_fn *set,
	void *arg, struct err *err);

/*
 * text: one item of the list. *endpoint, in the pool, is "inet:host:port" or "unix:path" ("local:" is another
 * word for the latter). what: the kind of service, for err.
 */
bool endpoint_options_parse(struct str text, const char *what, struct pool *pool, const char **endpoint,
	endpoint_setting_fn *set, void *arg, struct err *err);

#endif
