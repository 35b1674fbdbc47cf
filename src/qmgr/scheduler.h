/*
 * The scheduler: which delivery is next. Everything is in memory, times are given by the caller, nothing
 * blocks, and every step is O(log n).
 *
 *   transport ── destinations (next hop; one recipient where the transport takes one at a time)
 *       │             │
 *      job ───────── peer ── entries (one delivery request each)
 *       │
 *    message
 *
 * A job is a message's mail for one transport, a peer the part of it for one destination.
 * docs/queue-scheduling.md says how the next entry is chosen. Owned by the loop's thread.
 */
#ifndef QMGR_SCHEDULER_H
#define QMGR_SCHEDULER_H

#include "base/hash.h"
#include "base/heap.h"
#include "base/list.h"
#include "mail/dsn.h"
#include "qmgr/feedback.h"

struct transport_settings {
	struct feedback_settings feedback;
	int recipient_limit;		      /* per request; >= 1, 0: no limit */
	int process_limit;		      /* deliveries at once; 0: no limit */
	int rate_delay, transport_rate_delay; /* seconds */
	int slot_cost, slot_loan, slot_discount, minimum_slots;
	int dead_time, retry_time; /* seconds: of a dead destination, of a transport that cannot be reached */
	bool deferred;		   /* defer_transports names it */
};

/* Why mail is held back: short, kept by value because it outlives the message that found it out. */
struct hold_reason {
	char status[12];
	char *text; /* owned; NULL: not held back */
};

struct sched;
struct transport {
	struct sched *sched;
	char *name;
	struct transport_settings set;
	struct hash *dests;
	struct heap fifo, small; /* destinations that may be served now, by their first peer */
	struct list dirty;	 /* in sched->dirty: something may be picked */
	int64_t next_order, front_order;
	double credit; /* preemption: entries that later mail may take ahead of its turn */
	int busy;
	int64_t not_before;	 /* transport_rate_delay */
	struct hold_reason dead; /* the transport itself cannot be reached */
	struct heap_entry timer; /* in sched->transport_timers: revival or end of a rate delay */
	void *links;		 /* the agents; the link layer's */
};

struct dest {
	struct transport *transport;
	char *key, *nexthop;
	struct window window;
	int busy;
	size_t waiting;		 /* entries not yet picked */
	struct heap fifo, small; /* peers with waiting entries */
	struct heap_entry t_fifo, t_small;
	int64_t not_before; /* rate delay */
	struct hold_reason dead;
	struct heap_entry timer; /* in sched->dest_timers: the same */
};

struct job {
	struct transport *transport;
	struct list m_link; /* the message's */
	void *message;
	int64_t order, small_key;
	size_t total, waiting; /* entries */
	bool preempting;
	struct list peers;
};

struct peer {
	struct job *job;
	struct dest *dest;
	struct list j_link;
	struct list entries; /* waiting ones */
	uint32_t picked;
	struct heap_entry fifo, small;
};

struct entry {
	struct list link; /* peer->entries, or the link's list while it is being delivered */
	struct peer *peer;
	uint32_t *indexes; /* recipients, in the envelope */
	uint32_t count;
	uint32_t strikes; /* agents that ended while they had it */
	bool passed;	  /* by another agent, which it does not go back to */
	uint64_t request_id;
};

typedef void (*sched_settings_fn)(void *arg, const char *transport, struct transport_settings *out);

struct sched {
	sched_settings_fn settings;
	void *arg;
	struct hash *transports;
	struct list dirty;
	struct heap dest_timers, transport_timers; /* nanoseconds of the monotonic clock */
};

void sched_init(struct sched *s, sched_settings_fn settings, void *arg);
void sched_free(struct sched *s);
struct transport *sched_transport(struct sched *s, struct str name); /* made when new */
/* A transport with work that may have become possible, taken off the list; NULL: none. */
struct transport *sched_next_dirty(struct sched *s);

/* Jobs, peers and entries live in the message's pool. */
struct job *sched_job(struct transport *t, struct pool *pool, void *message, struct list *jobs);
/* key: the next hop, or the recipient where recipients are destinations of their own. */
struct dest *sched_dest(struct transport *t, struct str key, struct str nexthop);
/* Adds one request's worth of recipients; then sched_job_ready() when the job is complete. */
struct entry *sched_add(
	struct job *job, struct dest *d, struct pool *pool, const uint32_t *indexes, size_t count);
void sched_job_ready(struct job *job);

/* Why mail for it must not wait for its turn but be put off at once; NULL: it may. */
const struct hold_reason *sched_held(const struct dest *d);
struct entry *sched_pick(struct transport *t, int64_t now); /* NULL: nothing may be delivered now */
/* A picked entry goes back to the head of its peer. */
void sched_return(struct entry *e);
enum sched_verdict { SCHED_GOOD, SCHED_NEUTRAL, SCHED_TROUBLE };
/* A picked entry was answered. true: its destination is dead now (reason copied), what waits for it is to be
 * drained. The entry is the caller's afterwards. */
bool sched_done(struct entry *e, enum sched_verdict verdict, const struct dsn *reason, int64_t now);
/* Declares a destination or transport dead. */
void sched_kill_dest(struct dest *d, const char *status, const char *text, int64_t now);
void sched_kill_transport(struct transport *t, const char *status, const char *text, int64_t now);
void sched_revive_all(struct sched *s); /* postqueue -f */
/* Takes any waiting entry of a destination away (not picked, not counted as busy); NULL: none. */
struct entry *sched_drain(struct dest *d);
/* Takes a waiting entry of the job away; NULL: none. */
struct entry *sched_drain_job(struct job *job);
/* Fires timers that are due: revivals and rate delays. Next deadline, or INT64_MAX. */
int64_t sched_timers(struct sched *s, int64_t now);
bool sched_has_waiting(const struct transport *t);
/* Forgets a destination that has nothing to do and nothing to remember. Not to be used after that. */
void sched_release(struct dest *d);

#endif
