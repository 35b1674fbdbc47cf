/*
 * LMDB files of lookup tables: "lmdb:x" is the file x.lmdb, "hash:x" and "btree:x" are x.db. A file that is
 * in use is never changed: it is replaced by a new one, so readers need no locks and always see one state.
 */
#ifndef TABLE_LMDB_FILE_H
#define TABLE_LMDB_FILE_H

#include "base/err.h"
#include <lmdb.h>

extern const struct table_build_type lmdb_build_type;

/* The file that type:name is built into; the caller frees it. */
char *lmdb_file_path(const char *type, const char *name);
/* The file to read: where hash:x or btree:x has none of its own, or one of Berkeley DB, x.lmdb if it is
 * there. The caller frees it. */
char *lmdb_file_find(const char *type, const char *name);
/* Opens for reading. NULL with "open database FILE: reason". */
MDB_env *lmdb_file_open(const char *path, MDB_dbi *dbi, struct err *err);

/*
 * Opens the file in env and the one database in it; MDB_RDONLY in flags: for reading only. The descriptor is
 * closed in programs that we start. An LMDB error, or 0; after an error env is still the caller's to close.
 */
int lmdb_env_open(MDB_env *env, const char *path, unsigned flags, MDB_dbi *dbi);

const char *lmdb_file_reason(const char *path, int error); /* of an open that failed */

#endif
