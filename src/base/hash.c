#include "base/hash.h"

#include "base/mem.h"
#include "base/sys.h"
#include <pthread.h>

/* The process's seed; written once, under seed_once. */
static struct {
	uint64_t k0, k1;
} seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void seed_make(void)
{
	sys_random(&seed, sizeof(seed));
}

struct sip {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v2 = rotate(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	s->v0 ^= word;
}

/* Aumasson and Bernstein, "SipHash: a fast short-input PRF", with 1 compression and 3 finalisation rounds. */
static uint64_t siphash13(uint64_t k0, uint64_t k1, const unsigned char *p, size_t n)
{
	struct sip s = {
		k0 ^ 0x736f6d6570736575,
		k1 ^ 0x646f72616e646f6d,
		k0 ^ 0x6c7967656e657261,
		k1 ^ 0x7465646279746573,
	};
	uint64_t word, last = (uint64_t)n << 56;

	for (; n >= 8; p += 8, n -= 8) {
		memcpy(&word, p, 8);
		sip_word(&s, word);
	}
	for (size_t i = 0; i < n; i++)
		last |= (uint64_t)p[i] << 8 * i;
	sip_word(&s, last);
	s.v2 ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t hash_bytes(const void *data, size_t n)
{
	pthread_once(&seed_once, seed_make);
	return siphash13(seed.k0, seed.k1, data, n);
}

/*
 * Entries lie in insertion order; a removed one leaves a gap (key NULL) until the next rebuild. The index has
 * open addressing: entry number + 1, FREE, or GONE.
 */
struct entry {
	uint64_t hash;
	char *key;
	size_t key_len;
	void *value;
};

enum { FREE = 0 };
#define GONE UINT32_MAX

struct hash {
	struct entry *entries;
	size_t used, room; /* of entries, gaps included */
	size_t live;
	uint32_t *index;
	size_t mask;
	hash_free_fn free_value;
};

struct hash *hash_new(hash_free_fn free_value)
{
	struct hash *h = x_alloc(sizeof(*h));

	h->free_value = free_value;
	return h;
}

void hash_free(struct hash **h)
{
	if (!*h)
		return;
	for (size_t i = 0; i < (*h)->used; i++) {
		struct entry *e = &(*h)->entries[i];

		if (e->key && (*h)->free_value)
			(*h)->free_value(e->value);
		x_free(&e->key);
	}
	x_free(&(*h)->entries);
	x_free(&(*h)->index);
	x_free(h);
}

static uint32_t *find(const struct hash *h, uint64_t hash, struct str key)
{
	for (size_t at = hash & h->mask; h->index && h->index[at] != FREE; at = (at + 1) & h->mask) {
		const struct entry *e;

		if (h->index[at] == GONE)
			continue;
		e = &h->entries[h->index[at] - 1];
		if (e->hash == hash && str_eq((struct str){e->key, e->key_len}, key))
			return &h->index[at];
	}
	return NULL;
}

static void index_entry(struct hash *h, size_t number)
{
	size_t at = h->entries[number].hash & h->mask;

	while (h->index[at] != FREE)
		at = (at + 1) & h->mask;
	h->index[at] = (uint32_t)number + 1;
}

/* Closes the gaps and makes room for as many entries again as are live; the index is at most half full. */
static void rebuild(struct hash *h)
{
	size_t room = 8, kept = 0;

	while (room < h->live * 2)
		room *= 2;
	for (size_t i = 0; i < h->used; i++) {
		if (h->entries[i].key)
			h->entries[kept++] = h->entries[i];
	}
	h->entries = x_realloc(h->entries, room * sizeof(*h->entries));
	h->used = kept;
	h->room = room;
	x_free(&h->index);
	h->index = x_alloc(room * 2 * sizeof(*h->index));
	h->mask = room * 2 - 1;
	for (size_t i = 0; i < kept; i++)
		index_entry(h, i);
}

void *hash_get(const struct hash *h, struct str key)
{
	uint32_t *at = find(h, hash_bytes(key.p, key.n), key);

	return at ? h->entries[*at - 1].value : NULL;
}

void *hash_put(struct hash *h, struct str key, void *value)
{
	uint64_t hash = hash_bytes(key.p, key.n);
	uint32_t *at = find(h, hash, key);
	struct entry *e;

	if (at) {
		void *old = h->entries[*at - 1].value;

		h->entries[*at - 1].value = value;
		return old;
	}
	if (h->used == h->room)
		rebuild(h);
	e = &h->entries[h->used];
	*e = (struct entry){.hash = hash, .key = x_alloc(key.n + 1), .key_len = key.n, .value = value};
	if (key.n)
		memcpy(e->key, key.p, key.n);
	index_entry(h, h->used++);
	h->live++;
	return NULL;
}

static bool take(struct hash *h, struct str key, void **value)
{
	uint32_t *at = find(h, hash_bytes(key.p, key.n), key);
	struct entry *e;

	if (!at)
		return false;
	e = &h->entries[*at - 1];
	*value = e->value;
	x_free(&e->key);
	*at = GONE;
	h->live--;
	return true;
}

bool hash_delete(struct hash *h, struct str key)
{
	void *value;

	if (!take(h, key, &value))
		return false;
	if (h->free_value)
		h->free_value(value);
	return true;
}

size_t hash_count(const struct hash *h)
{
	return h->live;
}

bool hash_next(const struct hash *h, size_t *pos, struct str *key, void **value)
{
	while (*pos < h->used) {
		const struct entry *e = &h->entries[(*pos)++];

		if (!e->key)
			continue;
		*key = (struct str){e->key, e->key_len};
		if (value)
			*value = e->value;
		return true;
	}
	return false;
}
