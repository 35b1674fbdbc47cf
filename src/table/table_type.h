/*
 * What a table type provides, and helpers that several types share. Only the files of this folder include it.
 */
#ifndef TABLE_TABLE_TYPE_H
#define TABLE_TABLE_TYPE_H

#include "base/hash.h"
#include "table/source.h"
#include "table/table.h"
#include "table/table_build.h"

#define TABLE_KEY_MAX 10000 /* longer keys are "not found" without asking */

struct table;

struct table_type {
	const char *name;
	bool pattern;
	bool unauthenticated; /* nobody knows who answers (TABLE_NO_UNAUTH) */
	bool remote; /* lookups ask somebody over a socket or file: proxy: does that outside of a jail */
	bool (*present)(const struct table_type *type); /* NULL: always; else whether its module is there */
	/* name: what follows "type:"; t->flags is set, t->spec too. Fills t->state. */
	bool (*open)(struct table *t, const char *name, struct err *err);
	void (*close)(struct table *t); /* frees t->state; also after a failed open; NULL: nothing to free */
	enum table_status (*lookup)(struct table *t, struct str key, struct buf *value, struct err *err);
	enum table_status (*each)(
		struct table *t, table_entry_fn entry, void *arg, struct err *err); /* may be NULL */
	/* Takes an entry out of a table that is no file; NULL: of a file, by `build`, or not at all. */
	enum table_status (*remove)(struct table *t, struct str key, struct err *err);
	const struct table_build_type *build; /* NULL: postmap(1) makes no such tables */
};

/* How postmap(1) makes a table of the type. */
struct table_build_type {
	bool (*begin)(struct table_builder *b, const char *type, const char *name, struct err *err);
	enum table_build_result (*put)(
		struct table_builder *b, struct str key, struct str value, struct err *err);
	enum table_status (*remove)(struct table_builder *b, struct str key, struct err *err);
	bool (*commit)(struct table_builder *b, struct err *err); /* frees b->state */
	void (*abort)(struct table_builder *b);			  /* likewise; also after a failed begin */
};

struct table_builder {
	const struct table_build_type *type;
	struct table_build_options options;
	void *state; /* the type's own */
};

struct table {
	const struct table_type *type;
	char *spec;
	int flags;
	bool pattern, remote; /* its own or a member's */
	void *state;	      /* the type's own; const after open, or locked by the type */
	struct table *behind; /* a part of state that changes with this one; NULL: there is none */
	char **warnings;
	size_t warning_count;
	bool outside;		   /* asked outside of a jail: what it needs is there (table_outside.h) */
	struct table_watch *watch; /* NULL: no file to look at */
};

#define TABLE_TYPE(id) extern const struct table_type table_type_##id;
#include "table/types.def"
#undef TABLE_TYPE

const struct table_type *table_type_find(struct str name); /* NULL: none */
/* A line for table_warnings. */
void table_warn(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What the settings of the table were warned of, under its name. */
struct settings;
void table_warn_settings(struct table *t, const struct settings *s);
/* From now on lookups are made outside, if this process goes into a jail. */
void table_ask_outside(struct table *t);
/* Warns of a line that begins with a blank and continues nothing. */
void source_warn_orphan(struct table *t, const char *path, const struct source *s);
/* A table that another one is made of: its warnings are the other's too. */
void table_pass_warnings(struct table *to, const struct table *from);
struct table *table_new(const struct table_type *type, const char *spec, int flags);
/* table_open that leaves, after a failure, the watch of the file that it could not use, for the caller to
 * free.
 */
struct table *table_try(const char *spec, int flags, struct table_watch **watch, struct err *err);
/* A table that answers lookups with TABLE_MISCONFIGURED and this reason, until spec can be opened. label: for
 * messages; spec NULL: never. watch: of the file that could not be used, or NULL; the table's from now on. */
struct table *table_broken(
	const char *label, const char *spec, int flags, struct table_watch *watch, const char *reason);
/* The value to keep for the right-hand side of a rule: itself, or with TABLE_FILES the named files' content,
 * joined by newlines. */
bool table_value(const struct table *t, struct str text, struct buf *value, struct err *err);
/* The value of an entry of a table that was built: with TABLE_FILES it is there in base64. */
bool table_stored_value(const struct table *t, struct str text, struct buf *value, struct err *err);

/* Keys and values in memory, for types whose source is small. */
void entries_free(void *value);
bool entries_add(
	struct hash *h, struct str key, struct str value, bool replace); /* false: the key was there */
enum table_status entries_lookup(const struct hash *h, struct str key, struct buf *value);
enum table_status entries_each(const struct hash *h, table_entry_fn entry, void *arg);

#endif
