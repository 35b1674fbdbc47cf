/* A hash map from byte strings to pointers, seeded per process (SipHash-1-3) so that no peer can choose
 * collisions. Not locked. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/str.h"

struct hash;
typedef void (*hash_free_fn)(void *value);

uint64_t hash_bytes(const void *data, size_t n); /* SipHash with the process seed */
struct hash *hash_new(hash_free_fn free_value);	 /* free_value may be NULL */
void hash_free(struct hash **h);
void *hash_get(const struct hash *h, struct str key); /* NULL: not there */
void *hash_put(struct hash *h, struct str key,
	void *value); /* key is copied; returns the value replaced (not freed) or NULL */
bool hash_delete(struct hash *h, struct str key); /* removes and frees; false: not there */
size_t hash_count(const struct hash *h);
/* Walks in insertion order; *pos starts at 0. Deleting the entry just returned is allowed, adding is not. */
bool hash_next(const struct hash *h, size_t *pos, struct str *key, void **value);

#endif
