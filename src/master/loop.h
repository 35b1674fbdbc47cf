/* The event loop of master: descriptors that can be read, and timers. One thread. */
#ifndef MASTER_LOOP_H
#define MASTER_LOOP_H

#include "base/clock.h"
#include "base/err.h"
#include "base/heap.h"

struct loop;
struct loop *loop_new(struct err *err);
void loop_free(struct loop **l);

/* Embedded in its owner, which takes it out before it goes. */
struct loop_watch {
	void (*ready)(void *arg);
	void *arg;
	int fd; /* -1: not watched */
};
void loop_watch(struct loop *l, struct loop_watch *w, int fd, void (*ready)(void *arg), void *arg);
void loop_unwatch(
	struct loop *l, struct loop_watch *w); /* no-op when not watched; the descriptor stays open */

struct loop_timer {
	struct heap_entry entry;
	void (*fire)(void *arg);
	void *arg;
};
void loop_timer(struct loop *l, struct loop_timer *t, int64_t delay_ns, void (*fire)(void *arg),
	void *arg);					/* sets or moves it */
void loop_cancel(struct loop *l, struct loop_timer *t); /* no-op when not set */

/* One wait, then what became ready. */
void loop_step(struct loop *l);

#endif
