/* A binary min-heap of timers: O(log n) insert, change and removal. An entry is embedded in its owner and
 * knows its place. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_entry {
	int64_t key;  /* smallest first, e.g. nanoseconds of clock_mono() */
	size_t place; /* 1-based index in the heap; 0: not in a heap */
};

struct heap {
	struct heap_entry **slots;
	size_t count, cap;
};

void heap_free(struct heap *h);					  /* the entries are the owners' */
void heap_set(struct heap *h, struct heap_entry *e, int64_t key); /* inserts or moves */
void heap_remove(struct heap *h, struct heap_entry *e);		  /* no-op when not in it */
struct heap_entry *heap_first(const struct heap *h);		  /* NULL: empty */

#endif
