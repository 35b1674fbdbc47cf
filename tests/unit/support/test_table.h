/* Helpers of the table tests: files in a directory of their own, and lookups in one line. */
#ifndef TEST_TABLE_H
#define TEST_TABLE_H

#include "table/table_build.h"

/* Writes a file below a fresh directory; the directory goes away with test_files_remove. The path lives until
 * then. */
const char *test_file(const char *name, const char *text);
void test_files_remove(void);

/* Opens type:{file of this text}; the test fails when that fails. */
struct table *test_source(const char *type, const char *text, int flags);
struct table *test_table(const char *spec, int flags);
/* wanted NULL: not found. */
void test_lookup(struct table *t, const char *key, const char *wanted);
/* The only warning, or the one with this index, ends so (directory names are left out of the comparison). */
void test_warning(const struct table *t, size_t index, const char *ending);
size_t test_warning_count(const struct table *t);
/* Opening fails with a reason that ends so. */
void test_open_fails(const char *spec, const char *ending);

/* type:path of a file of this name in the directory; the caller frees it. */
char *test_spec(const char *type, const char *name);
/* Building; the test fails when that fails. */
struct table_builder *test_begin(const char *spec, struct table_build_options options);
void test_put(struct table_builder *b, const char *key, const char *value, enum table_build_result wanted);
void test_commit(struct table_builder *b);
void test_build(const char *spec, const char *key, const char *value); /* a table of one entry */

#endif
