/* The text of main.cf as its entries, in the file's order, values not expanded. */
#ifndef CONFIG_MAIN_CF_H
#define CONFIG_MAIN_CF_H

#include "config/config.h"

struct main_cf_entry {
	char *name, *value;
	int line;
};

struct main_cf {
	struct main_cf_entry *entries;
	size_t count;
};

#define MAIN_CF_MAX (4 * 1024 * 1024) /* bytes of the file */

/* path is for messages. Lines that begin with blanks and continue nothing are warned of and skipped. */
struct main_cf *main_cf_parse(
	struct str content, const char *path, config_warn_fn warn, void *arg, struct err *err);
/* NULL with err when the file cannot be read either. */
struct main_cf *main_cf_load(const char *path, config_warn_fn warn, void *arg, struct err *err);
void main_cf_free(struct main_cf **m);
/* "name = value" of a line or an option; false with err ("missing '=' after attribute name: ..."). */
bool main_cf_split(struct str text, struct str *name, struct str *value, struct err *err);

#endif
