#include "base/heap.h"

#include "base/mem.h"

/* Places are 1-based: the children of n are 2n and 2n+1. */
static void put(struct heap *h, size_t place, struct heap_entry *e)
{
	h->slots[place - 1] = e;
	e->place = place;
}

static struct heap_entry *at(const struct heap *h, size_t place)
{
	return h->slots[place - 1];
}

static void rise(struct heap *h, struct heap_entry *e)
{
	size_t place = e->place;

	for (; place > 1 && at(h, place / 2)->key > e->key; place /= 2)
		put(h, place, at(h, place / 2));
	put(h, place, e);
}

static void sink(struct heap *h, struct heap_entry *e)
{
	size_t place = e->place, child;

	while ((child = place * 2) <= h->count) {
		if (child < h->count && at(h, child + 1)->key < at(h, child)->key)
			child++;
		if (at(h, child)->key >= e->key)
			break;
		put(h, place, at(h, child));
		place = child;
	}
	put(h, place, e);
}

void heap_free(struct heap *h)
{
	x_free(&h->slots);
	h->count = h->cap = 0;
}

void heap_set(struct heap *h, struct heap_entry *e, int64_t key)
{
	if (e->place == 0) {
		if (h->count == h->cap) {
			h->cap = h->cap ? h->cap * 2 : 16;
			h->slots = x_realloc(h->slots, h->cap * sizeof(*h->slots));
		}
		put(h, ++h->count, e);
	}
	e->key = key;
	rise(h, e);
	sink(h, e);
}

void heap_remove(struct heap *h, struct heap_entry *e)
{
	size_t place = e->place;
	struct heap_entry *last;

	if (place == 0)
		return;
	last = at(h, h->count--);
	e->place = 0;
	if (last == e)
		return;
	put(h, place, last);
	rise(h, last);
	sink(h, last);
}

struct heap_entry *heap_first(const struct heap *h)
{
	return h->count ? h->slots[0] : NULL;
}
