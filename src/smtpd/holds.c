#include "smtpd/holds.h"

#define PROBES 64

struct hold {
	_Atomic uint64_t owner; /* 0: free */
	_Atomic uint64_t key;	/* 0: not yet, or not any more */
};

_Static_assert(sizeof(struct hold) == HOLD_BYTES, "documented");

void holds_init(struct holds *h, void *memory, size_t size, uint64_t self,
	bool (*alive)(void *arg, uint64_t identity), void *arg)
{
	h->list = memory;
	h->count = size / sizeof(struct hold);
	h->self = self;
	h->alive = alive;
	h->arg = arg;
	atomic_store(&h->next, self * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

size_t holds_take(struct holds *h, uint64_t key)
{
	size_t probes = h->self == 0 ? 0 : h->count < PROBES ? h->count : PROBES;

	for (size_t i = 0; i < probes; i++) {
		size_t place = atomic_fetch_add(&h->next, 1) % h->count;
		uint64_t nobody = 0;

		if (atomic_load(&h->list[place].owner) == 0 &&
			atomic_compare_exchange_strong(&h->list[place].owner, &nobody, h->self)) {
			atomic_store(&h->list[place].key, key);
			return place + 1;
		}
	}
	return 0;
}

void holds_give(struct holds *h, size_t place)
{
	if (place == 0)
		return;
	atomic_store(&h->list[place - 1].key, 0);
	atomic_store(&h->list[place - 1].owner, 0);
}

/* Who becomes the owner alone takes the key. */
static void reclaim(
	struct holds *h, size_t place, uint64_t owner, void (*lost)(void *arg, uint64_t key), void *arg)
{
	uint64_t key;

	if (!atomic_compare_exchange_strong(&h->list[place].owner, &owner, h->self))
		return;
	key = atomic_load(&h->list[place].key);
	if (key != 0)
		lost(arg, key);
	holds_give(h, place + 1);
}

void holds_reclaim(struct holds *h, void (*lost)(void *arg, uint64_t key), void *arg)
{
	uint64_t alive = h->self; /* the last one that was */

	for (size_t i = 0; h->self != 0 && i < h->count; i++) {
		uint64_t owner = atomic_load(&h->list[i].owner);

		if (owner == 0 || owner == alive)
			continue;
		if (h->alive(h->arg, owner))
			alive = owner;
		else
			reclaim(h, i, owner, lost, arg);
	}
}
