/*
 * Slots and parking. A slot is what the manuals call a process: a thread that runs one task at a time with
 * blocking, linear code. The waiter (one epoll thread) holds parked tasks and listening sockets.
 *
 * A task is embedded in its owner (a session, a delivery, an idle connection). It is in one place at a time:
 * with its creator, queued, running in a slot, or parked; whoever holds it owns its memory. run() ends by
 * freeing the owner, by slots_park() or by slots_submit(), each of which gives the task away: run() must not
 * touch it after that.
 *
 * Shared state: struct slots, guarded by its own lock (slots.c).
 */
#ifndef BASE_SLOTS_H
#define BASE_SLOTS_H

#include "base/clock.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/list.h"
#include <stdatomic.h>

enum task_wake {
	TASK_START,   /* submitted */
	TASK_READY,   /* its descriptor has input or ended */
	TASK_TIMEOUT, /* its deadline passed */
	TASK_SHUTDOWN /* the process ends: leave politely */
};

struct slot;
struct task {
	void (*run)(struct task *task, struct slot *slot, enum task_wake why);
	/* the rest belongs to slots.c */
	struct list link;
	struct heap_entry timer;
	int fd;
	enum task_wake why;
	bool parked;
};

struct slots_options {
	int max_slots;			/* threads at most, >= 1 */
	int64_t idle_ns;		/* an idle slot ends after this; max_idle. 0: at once */
	int max_use;			/* a slot is renewed after so many tasks; 0: never */
	size_t stack_bytes;		/* 0: 256 kB */
	void *(*slot_start)(void *arg); /* what a slot caches (resolver, policy connections); may be NULL */
	void (*slot_end)(void *cache, void *arg);
	void *arg;
	const char *name; /* thread name, at most 15 bytes */
	_Atomic int32_t *running,
		*queued; /* kept equal to those of slots_load, for who looks from outside; may be NULL */
};

struct slots;
struct slots *slots_new(const struct slots_options *options, struct err *err);
void *slot_cache(const struct slot *slot); /* what slot_start returned */
/* Runs the task as soon as a slot is free; never blocks. May be called from any thread. */
void slots_submit(struct slots *s, struct task *task);
/* Runs the task again when fd is readable or hung up (READY) or at the deadline (TIMEOUT). fd may be -1: only
 * the time. */
void slots_park(struct slots *s, struct task *task, int fd, int64_t deadline);
/* Takes a parked task back before it wakes: true, the caller owns it; false, it is running or queued already.
 */
bool slots_unpark(struct slots *s, struct task *task);
/*
 * Calls ready(fd, arg) on the waiter thread whenever fd is readable; it must not block. Used for listening
 * sockets (exclusive wake-up among processes) and control connections.
 */
bool slots_watch(struct slots *s, int fd, bool exclusive, void (*ready)(int fd, void *arg), void *arg,
	struct err *err);
/* When it returns, ready() is not running and will not be called (unless called from within ready()). The
 * descriptor stays open. */
void slots_unwatch(struct slots *s, int fd);
/* Calls tick(arg) on the waiter thread about every ms milliseconds. One per struct slots. Exclusive watches
 * look again at each tick for what another process left. */
void slots_tick(struct slots *s, int ms, void (*tick)(void *arg), void *arg);

struct slots_load {
	int max, threads, running, queued, parked;
};
struct slots_load slots_load(struct slots *s);
/* How many slots have been running one task since before that time (clock_mono()): a watchdog's question. */
int slots_overdue(struct slots *s, int64_t before);
/*
 * Wakes every parked task with TASK_SHUTDOWN (and those that park later), waits until all tasks ended or the
 * deadline, then joins the threads. true: all ended. false: some still run; it may be called again.
 */
bool slots_stop(struct slots *s, int64_t deadline);
void slots_free(struct slots **s); /* after slots_stop returned true; NULL allowed */

#endif
