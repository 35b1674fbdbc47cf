/*
 * Which process has which of the counted connections (limits.h), so that those of a process that died can be
 * taken off the counts.
 *
 * Shared state: a table of fixed size without locks, in memory that all processes of the instance share, zero
 * when nobody used it yet. A place belongs to the process whose identity stands there; a dead one's to
 * whoever puts its own identity in its stead. A connection without a place, because all are taken, is counted
 * all the same.
 */
#ifndef SMTPD_HOLDS_H
#define SMTPD_HOLDS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_BYTES 16 /* of memory, for a place */

struct hold;
struct holds {
	struct hold *list;
	size_t count;
	uint64_t self; /* our identity; 0: nothing is held */
	bool (*alive)(void *arg, uint64_t identity);
	void *arg;
	_Atomic uint64_t next; /* where to look for a free place */
};

/* memory: stays the caller's. */
void holds_init(struct holds *h, void *memory, size_t size, uint64_t self,
	bool (*alive)(void *arg, uint64_t identity), void *arg);
/* The place plus one; 0: none. key must not be 0. */
size_t holds_take(struct holds *h, uint64_t key);
void holds_give(struct holds *h, size_t place);
/* Calls lost() for each key that a process had that is not alive any more. */
void holds_reclaim(struct holds *h, void (*lost)(void *arg, uint64_t key), void *arg);

#endif
