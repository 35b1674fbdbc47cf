/* Helpers of the table tests: files in a directory of their own, and lookups in one line. */
#ifndef TEST_TABLE_H
#define TEST_TABLE_H

#include "table/table.h"

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

#endif
