/*
 * The file: an LMDB database that processes read and write at once. It lives in a directory of mail_owner's
 * and is opened as that user.
 */
#ifndef VERIFY_VERIFY_CACHE_H
#define VERIFY_VERIFY_CACHE_H

#include "base/buf.h"
#include "base/err.h"

#include <sys/types.h>

#define VERIFY_KEY_MAX 500 /* bytes of an address */

struct verify_cache; /* used by many threads */

/* Never NULL; opening is tried again by the calls below, once in a while. owner: (uid_t)-1, as ourselves. */
struct verify_cache *verify_cache_new(const char *path, uid_t owner, gid_t group);
void verify_cache_free(struct verify_cache **cache);
const char *verify_cache_path(const struct verify_cache *cache);
/* false: it is not open and cannot be opened now. */
bool verify_cache_ready(struct verify_cache *cache, struct err *err);

enum verify_found { VERIFY_FOUND, VERIFY_ABSENT, VERIFY_TROUBLE };
enum verify_found verify_cache_get(
	struct verify_cache *cache, struct str key, struct buf *value, struct err *err);

/*
 * Changes one entry, with all other changes kept out meanwhile. change() sees the value there is (has false:
 * none) and says what becomes of it: KEEP, PUT the new value in *value, or DROP it. May be called twice.
 * Opening is tried at once: an outcome comes once, and those who ask would wait for it for long.
 */
enum verify_change { VERIFY_KEEP, VERIFY_PUT, VERIFY_DROP };
typedef enum verify_change verify_change_fn(void *arg, bool has, struct str old, struct buf *value);
bool verify_cache_change(
	struct verify_cache *cache, struct str key, verify_change_fn *change, void *arg, struct err *err);
/* Walks through all; drop() says whether an entry goes. */
typedef bool verify_drop_fn(void *arg, struct str value);
bool verify_cache_sweep(struct verify_cache *cache, verify_drop_fn *drop, void *arg, struct err *err);

#endif
