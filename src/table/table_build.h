/*
 * Making and changing the files of tables, for postmap(1) and postalias(1). Readers see the old table until
 * commit, and then the new one. One process at a time builds in a directory; the others wait in
 * table_build_begin.
 */
#ifndef TABLE_TABLE_BUILD_H
#define TABLE_TABLE_BUILD_H

#include "table/table.h"
#include <sys/types.h>

struct table_build_options {
	bool incremental; /* start from what the table has, if it is there */
	bool replace;	  /* a key that is there gets the new value */
	bool with_nul;	  /* keys and values are stored with a NUL byte at their end */
	mode_t mode;	  /* of a new file; a file that is replaced passes its own on */
	size_t size;	  /* of the source in bytes, to have room enough */
};

enum table_build_result {
	BUILD_ADDED,
	BUILD_DUPLICATE,
	BUILD_UNFIT, /* the type cannot have such a key; err says why, the others go on */
	BUILD_FAILED
};

struct table_builder;
/* Whether the type can be made; false with "unsupported dictionary type: ..." */
bool table_build_supported(const char *spec, struct err *err);
struct table_builder *table_build_begin(
	const char *spec, const struct table_build_options *options, struct err *err);
/* BUILD_DUPLICATE: the key was there; its value is the old one unless options.replace. */
enum table_build_result table_build_put(
	struct table_builder *b, struct str key, struct str value, struct err *err);
enum table_status table_build_remove(
	struct table_builder *b, struct str key, struct err *err);  /* FOUND: it is gone */
bool table_build_commit(struct table_builder **b, struct err *err); /* frees b either way */
void table_build_abort(struct table_builder **b);		    /* NULL allowed */

/* Takes an entry out of a table that is open. FOUND: it is gone. For many entries of one that postmap(1)
 * makes, a builder is quicker. */
enum table_status table_remove(struct table *t, struct str key, struct err *err);
/* Whether it can; false with "... map requires O_RDONLY access mode". */
bool table_can_remove(const struct table *t, struct err *err);
/* "type:name" of the table whose file changes then: this one or the one behind it; NULL: there is no file. */
const char *table_changed_by_removal(const struct table *t);

#endif
