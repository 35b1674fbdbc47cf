#include "smtpd/limits.h"

#include "base/clock.h"
#include "base/sys.h"
#include <netinet/in.h>
#include <stdatomic.h>

#define WAYS 8 /* entries that a key may be in */
#define STALE_US                                                                                             \
	(1000 * US_PER_SEC) /* connections that nothing was heard of for so long have a dead process */

struct entry {
	_Atomic uint64_t key;	  /* 0: free */
	_Atomic int64_t begun_us; /* of the time unit */
	_Atomic int64_t touched_us;
	_Atomic uint32_t open; /* connections */
	_Atomic uint32_t events[LIMIT_EVENTS];
};

struct limits_table {
	_Atomic uint64_t seed;
	uint64_t pad[7];
	struct entry entries[];
};

void limits_init(struct limits *l, void *memory, size_t size, int unit_seconds)
{
	uint64_t none = 0, seed;

	l->table = memory;
	l->sets = (size - sizeof(struct limits_table)) / sizeof(struct entry) / WAYS;
	l->unit_us = unit_seconds * US_PER_SEC;
	sys_random(&seed, sizeof(seed));
	atomic_compare_exchange_strong(&l->table->seed, &none, seed | 1);
}

/* The finalizer of SplitMix64. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static uint64_t mix_bytes(uint64_t h, const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = mix(h ^ (p[i] + UINT64_C(0x9e3779b97f4a7c15)));
	return h;
}

static void mask(unsigned char *address, size_t n, int bits)
{
	for (size_t i = 0; i < n; i++) {
		int keep = bits - (int)i * 8;

		if (keep <= 0)
			address[i] = 0;
		else if (keep < 8)
			address[i] &= (unsigned char)(0xff << (8 - keep));
	}
}

uint64_t limits_key(
	const struct limits *l, const char *service, const struct net_addr *client, int v4_bits, int v6_bits)
{
	uint64_t h = mix_bytes(atomic_load(&l->table->seed), (const unsigned char *)service, strlen(service));
	unsigned char address[16] = {0};
	size_t n = 4;

	if (client->ss.ss_family == AF_INET6) {
		n = 16;
		memcpy(address, &((const struct sockaddr_in6 *)&client->ss)->sin6_addr, n);
		mask(address, n, v6_bits);
	} else if (client->ss.ss_family == AF_INET) {
		memcpy(address, &((const struct sockaddr_in *)&client->ss)->sin_addr, n);
		mask(address, n, v4_bits);
	}
	h = mix_bytes(mix(h ^ n), address, n);
	return h ? h : 1;
}

static struct entry *set_of(const struct limits *l, uint64_t key)
{
	return &l->table->entries[key % l->sets * WAYS];
}

static struct entry *find(const struct limits *l, uint64_t key)
{
	struct entry *set = set_of(l, key);

	for (int i = 0; i < WAYS; i++)
		if (atomic_load(&set[i].key) == key)
			return &set[i];
	return NULL;
}

/* The entry of the set that is missed least: free, or without connections, the one untouched for the longest
 * time. */
static struct entry *victim(struct entry *set)
{
	struct entry *best = &set[0];

	for (int i = 0; i < WAYS; i++) {
		bool busy = atomic_load(&set[i].open) > 0, best_busy = atomic_load(&best->open) > 0;

		if (atomic_load(&set[i].key) == 0)
			return &set[i];
		if (busy != best_busy ? best_busy
				      : atomic_load(&set[i].touched_us) < atomic_load(&best->touched_us))
			best = &set[i];
	}
	return best;
}

static void clear_events(struct entry *e)
{
	for (int i = 0; i < LIMIT_EVENTS; i++)
		atomic_store(&e->events[i], 0);
}

static struct entry *find_or_make(const struct limits *l, uint64_t key, int64_t now)
{
	struct entry *e = find(l, key);
	uint64_t old;

	if (e)
		return e;
	e = victim(set_of(l, key));
	old = atomic_load(&e->key);
	if (atomic_compare_exchange_strong(&e->key, &old, key)) {
		atomic_store(&e->open, 0);
		atomic_store(&e->begun_us, now);
		clear_events(e);
	}
	return e;
}

/* A new time unit begins with the first event after the old one. */
static void follow_time(const struct limits *l, struct entry *e, int64_t now)
{
	int64_t begun = atomic_load(&e->begun_us);

	if (now - begun >= l->unit_us && atomic_compare_exchange_strong(&e->begun_us, &begun, now))
		clear_events(e);
}

static int64_t now_us(void)
{
	return clock_mono() / 1000;
}

unsigned limits_count(const struct limits *l, uint64_t key, enum limit_event event)
{
	int64_t now = now_us();
	struct entry *e = find_or_make(l, key, now);

	follow_time(l, e, now);
	atomic_store(&e->touched_us, now);
	return atomic_fetch_add(&e->events[event], 1) + 1;
}

unsigned limits_seen(const struct limits *l, uint64_t key, enum limit_event event)
{
	struct entry *e = find(l, key);

	if (!e)
		return 0;
	follow_time(l, e, now_us());
	return atomic_load(&e->events[event]);
}

unsigned limits_connect(const struct limits *l, uint64_t key)
{
	int64_t now = now_us();
	struct entry *e = find_or_make(l, key, now);

	if (now - atomic_load(&e->touched_us) > STALE_US)
		atomic_store(&e->open, 0);
	atomic_store(&e->touched_us, now);
	return atomic_fetch_add(&e->open, 1) + 1;
}

void limits_disconnect(const struct limits *l, uint64_t key)
{
	struct entry *e = find(l, key);
	uint32_t open = e ? atomic_load(&e->open) : 0;

	while (open > 0 && !atomic_compare_exchange_weak(&e->open, &open, open - 1))
		continue;
	if (e)
		atomic_store(&e->touched_us, now_us());
}

unsigned limits_open(const struct limits *l, uint64_t key)
{
	struct entry *e = find(l, key);

	return e ? atomic_load(&e->open) : 0;
}
