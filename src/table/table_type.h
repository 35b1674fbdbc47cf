/*
 * What a table type provides, and helpers that several types share. Only the files of this folder include it.
 */
#ifndef TABLE_TABLE_TYPE_H
#define TABLE_TABLE_TYPE_H

#include "base/hash.h"
#include "base/logical.h"
#include "table/table.h"

#define TABLE_KEY_MAX 10000	    /* longer keys are "not found" without asking */
#define TABLE_SOURCE_MAX (1u << 30) /* bytes of a source file */

struct table;

struct table_type {
	const char *name;
	bool pattern;
	/* name: what follows "type:"; t->flags is set, t->spec too. Fills t->state. */
	bool (*open)(struct table *t, const char *name, struct err *err);
	void (*close)(struct table *t); /* frees t->state; also after a failed open; NULL: nothing to free */
	enum table_status (*lookup)(struct table *t, struct str key, struct buf *value, struct err *err);
	enum table_status (*each)(
		struct table *t, table_entry_fn entry, void *arg, struct err *err); /* may be NULL */
};

struct table {
	const struct table_type *type;
	char *spec;
	int flags;
	bool pattern;
	void *state; /* the type's own; const after open, or locked by the type */
	char **warnings;
	size_t warning_count;
};

#define TABLE_TYPE(id) extern const struct table_type table_type_##id;
#include "table/types.def"
#undef TABLE_TYPE

/* A line for table_warnings. */
void table_warn(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A table that answers every lookup with TABLE_MISCONFIGURED and this reason. */
struct table *table_broken(const char *spec, const char *reason);
/* The value to keep for the right-hand side of a rule: itself, or with TABLE_FILES the named files' content,
 * joined by newlines. */
bool table_value(const struct table *t, struct str text, struct buf *value, struct err *err);

/* Text sources: their logical lines, trimmed. */
struct source {
	struct buf text;
	struct buf buf;
	struct logical_reader reader;
	struct logical_line line; /* the last one taken */
};
bool source_open(struct source *s, const char *path, struct err *err);
/* "{ {rule}, {rule} }" as lines. The reason of a failure is in err, without the table's name. */
bool source_inline(struct source *s, struct str groups, struct err *err);
bool source_next(struct source *s, struct str *logical);
void source_close(struct source *s);
/* Takes the inside of a { } group, blanks trimmed: false with "syntax error after '}' in ..." or "missing '}'
 * in ...". */
bool source_braces(struct str group, struct str *inside, struct err *err);

/* "key value" of postmap(1) source. A quoted part of the key may hold blanks; the key keeps its quotes, as
 * address lookups have them. */
enum source_pair { PAIR_OK, PAIR_NO_VALUE, PAIR_UNBALANCED };
enum source_pair source_pair(struct str line, struct str *key, struct str *value);

/* Keys and values in memory, for types whose source is small. */
void entries_free(void *value);
bool entries_add(
	struct hash *h, struct str key, struct str value, bool replace); /* false: the key was there */
enum table_status entries_lookup(const struct hash *h, struct str key, struct buf *value);
enum table_status entries_each(const struct hash *h, table_entry_fn entry, void *arg);

#endif
