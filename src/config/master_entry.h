/*
 * One logical line of master.cf as its columns and arguments: the syntax, without the meaning of '-'.
 * postconf shows and edits these; master_cf_load makes services of them.
 */
#ifndef CONFIG_MASTER_ENTRY_H
#define CONFIG_MASTER_ENTRY_H

#include "base/err.h"
#include "base/str.h"

enum master_field {
	FIELD_NAME,
	FIELD_TYPE,
	FIELD_PRIVATE,
	FIELD_UNPRIVILEGED,
	FIELD_CHROOT,
	FIELD_WAKEUP,
	FIELD_MAXPROC,
	FIELD_COUNT
};

/* Names as postconf -F shows them; FIELD_COUNT is "command". */
extern const char *const master_field_names[FIELD_COUNT + 1];

struct master_entry {
	char *fields[FIELD_COUNT];
	char **argv; /* NULL-terminated, the command first; options taken apart: "-v", "-o", "name=value"; { }
			removed */
	size_t argc;
	int line;
};

/* Fills e, which the caller gives to master_entry_clear; false with err, e cleared. */
bool master_entry_parse(struct str line, struct master_entry *e, struct err *err);
void master_entry_clear(struct master_entry *e);
/* Whether the text may stand in the column. */
bool master_field_valid(enum master_field field, const char *text);
/* Whether an argument after the command is an option; the first that is none, "-" and "--" too, ends the
 * options. */
bool master_is_option(const char *arg);
void master_entry_add(struct master_entry *e, struct str arg);

#endif
