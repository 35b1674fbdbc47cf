/* CDB files of lookup tables: "cdb:x" is the file x.cdb. A file is never changed, only replaced. */
#ifndef TABLE_CDB_FILE_H
#define TABLE_CDB_FILE_H

#include <cdb.h>

#include "table/table.h"

extern const struct table_build_type cdb_build_type;

/* The file of cdb:name; the caller frees it. */
char *cdb_file_path(const char *name);
/* Opens for reading; false with "open database FILE: reason". */
bool cdb_file_open(const char *path, struct cdb *out, struct err *err);
void cdb_file_close(struct cdb *file);
/* Calls entry() for each, without the NUL bytes that other programs store with keys and values; false with
 * err: the file is damaged. */
bool cdb_file_each(const struct cdb *file, table_entry_fn entry, void *arg, struct err *err);
/* The text without a NUL byte at its end. */
struct str cdb_file_text(const void *p, size_t n);

#endif
