/*
 * A cache: an LMDB database that processes read and write at once. It lives in a directory of mail_owner's
 * and is opened as that user.
 */
#ifndef TABLE_CACHE_FILE_H
#define TABLE_CACHE_FILE_H

#include "base/buf.h"
#include "base/err.h"

#define CACHE_KEY_MAX 500 /* bytes */

struct config;
struct cache_file; /* used by many threads */

/* The file of "btree:/directory/name", with proxy: before it or not; lmdb: and hash: are the same. A path
 * alone has the default type (default_cache_db_type). The caller frees it. NULL: another type. */
char *cache_file_path(const char *parameter, const char *map, const char *default_type, struct err *err);
/* A file in a directory that is not mail_owner's is looked for in data_directory instead: true, with the new
 * path. */
bool cache_file_redirect(const struct config *cfg, char **path);
/* Opening is tried again by the calls below, once in a while. what: "address verification cache", in
 * messages; it stays the caller's. Values have at most value_max bytes. NULL: there is no mail_owner. */
struct cache_file *cache_file_new(
	const struct config *cfg, const char *what, const char *path, size_t value_max, struct err *err);
void cache_file_free(struct cache_file **cache);
const char *cache_file_name(const struct cache_file *cache);
/* false: it is not open and cannot be opened now. */
bool cache_file_ready(struct cache_file *cache, struct err *err);

enum cache_found { CACHE_FOUND, CACHE_ABSENT, CACHE_TROUBLE };
enum cache_found cache_file_get(struct cache_file *cache, struct str key, struct buf *value, struct err *err);

/*
 * Changes one entry, with all other changes kept out meanwhile. change() sees the value there is (has false:
 * none) and says what becomes of it: KEEP, PUT the new value in *value, or DROP it. May be called twice.
 * Opening is tried at once: an outcome comes once, and those who ask would wait for it for long.
 */
enum cache_change { CACHE_KEEP, CACHE_PUT, CACHE_DROP };
typedef enum cache_change cache_change_fn(void *arg, bool has, struct str old, struct buf *value);
bool cache_file_change(
	struct cache_file *cache, struct str key, cache_change_fn *change, void *arg, struct err *err);
/* Puts an entry, in place of the one there is, and looks at a few others: those that drop() says go, go, and
 * some of any age while there are more than `most`. So a cache needs no other care to stay small. */
struct cache_care {
	bool (*drop)(void *arg, struct str value);
	void *arg;
	size_t most; /* entries */
};
bool cache_file_store(struct cache_file *cache, struct str key, struct str value,
	const struct cache_care *care, struct err *err);
/* Walks through all; drop() says whether an entry goes. */
typedef bool cache_drop_fn(void *arg, struct str value);
bool cache_file_sweep(struct cache_file *cache, cache_drop_fn *drop, void *arg, struct err *err);

#endif
