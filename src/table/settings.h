/*
 * The settings of a table that has a configuration file ("name = value" as main.cf, values as they stand),
 * or, in the old form, parameters of main.cf that begin with the table's name and an underscore.
 */
#ifndef TABLE_SETTINGS_H
#define TABLE_SETTINGS_H

#include "base/buf.h"
#include "base/err.h"

struct settings;

/* The value of a main.cf parameter, NULL: not set. The caller frees it. */
typedef char *(*settings_parameter_fn)(const char *name);

/* source: a path that begins with / or . or the first part of parameter names. NULL with err. */
struct settings *settings_open(const char *source, settings_parameter_fn parameter, struct err *err);
void settings_close(struct settings **s);
/* Lives as long as the settings. */
const char *settings_text(struct settings *s, const char *name, const char *fallback);
/* False with err: not a number from min to max. */
bool settings_number(
	struct settings *s, const char *name, int fallback, int min, int max, int *out, struct err *err);
bool settings_bool(struct settings *s, const char *name, bool fallback, bool *out, struct err *err);
/* For the operator: of a name that is there twice, and of what those who read the settings make of a value.
 */
__attribute__((format(printf, 2, 3))) void settings_warn(struct settings *s, const char *fmt, ...);
/* From 0; NULL: there are no more. */
const char *settings_warning(const struct settings *s, size_t number);

#endif
