/* What slots.c (queue and slot threads) and slots_waiter.c (parked tasks, watches, time) share. */
#ifndef BASE_SLOTS_PRIVATE_H
#define BASE_SLOTS_PRIVATE_H

#include "base/slots.h"
#include <pthread.h>
#include <stdatomic.h>

struct slot {
	struct list link; /* in slots.idle or slots.finished */
	struct list busy; /* in slots.busy */
	int64_t since;	  /* when its task began */
	struct slots *owner;
	pthread_t thread;
	atomic_int wake; /* futex: 1 when `task` was set by somebody */
	bool idle;
	struct task *task; /* handed over; NULL at wake-up: end */
	void *cache;
	int uses;
};

struct watch {
	struct list link;
	int fd;
	uint32_t id;
	bool exclusive, armed;
	int64_t rearm_at; /* when not armed */
	void (*ready)(int fd, void *arg);
	void *arg;
};

/* Which task is parked on a descriptor. The generation tells a late event of an earlier one apart. */
struct parking {
	struct task *task;
	uint32_t generation;
};

/* Everything is guarded by `lock` except `options`, `epoll`, `poke_fd` and the attributes, which do not
 * change. */
struct slots {
	struct slots_options options;
	char name[16];
	pthread_attr_t attributes;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* for slots_stop and slots_unwatch */

	struct list queue;    /* of task.link */
	struct list idle;     /* of slot.link, last used first */
	struct list busy;     /* of slot.busy, longest first */
	struct list finished; /* ended threads to be joined */
	int threads, starting, running, queued;
	int64_t spawn_retry_at; /* after a thread could not be made; 0: not so */
	bool stopping;		/* tasks shall end */
	bool quit;		/* threads shall end */

	int epoll, poke_fd;
	pthread_t waiter;
	bool waiter_runs;
	struct heap timers; /* of task.timer */
	struct list parked; /* of task.link */
	int parked_count;
	struct parking *by_fd;
	size_t by_fd_count;
	int64_t sleep_until; /* the waiter sleeps till then; INT64_MIN: it is awake and will look */

	struct list watches;
	uint32_t last_watch_id;
	struct watch *calling; /* ready() of this one is running */
	void (*tick)(void *arg);
	void *tick_arg;
	int64_t tick_ns, next_tick;
};

/* slots.c: lock held. Puts the task into the queue. */
void slots_enqueue(struct slots *s, struct task *task, enum task_wake why);
/* slots.c: hands queued tasks to idle or new slots. Called with the lock held, RELEASES it. */
void slots_feed_unlock(struct slots *s);
void slots_join_finished(struct slots *s);

/* slots_waiter.c */
bool slots_waiter_start(struct slots *s, struct err *err);
void slots_waiter_stop(struct slots *s);
void slots_poke(struct slots *s);
/* Lock held. */
void slots_forget_parked(struct slots *s, struct task *task);

#endif
