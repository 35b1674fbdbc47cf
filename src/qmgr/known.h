/*
 * Every message the queue manager knows of, in as few bytes as will do: a site in trouble has hundreds of
 * thousands of deferred ones. What is not in the active queue is its id, its queue and the time of its next
 * attempt; all else is read from the file when its time comes. Owned by the loop's thread.
 */
#ifndef QMGR_KNOWN_H
#define QMGR_KNOWN_H

#include "base/hash.h"
#include "base/heap.h"
#include "base/list.h"
#include "spool/spool.h"

enum known_state {
	KNOWN_INCOMING, /* waits in the line of new mail */
	KNOWN_DEFERRED, /* waits for its time */
	KNOWN_FOREIGN,	/* a queue manager that retires still has it in hand */
	KNOWN_ACTIVE	/* being read, delivered or finished */
};

struct known_message {
	union {
		struct heap_entry due; /* KNOWN_DEFERRED: microseconds since 1970 */
		struct list line;      /* KNOWN_INCOMING, KNOWN_FOREIGN */
		void *active;	       /* KNOWN_ACTIVE: struct message, NULL while it is being read */
	};
	struct queue_id id;
	uint8_t queue; /* enum spool_queue: where the file is */
	uint8_t state;
	bool gone;   /* KNOWN_ACTIVE: removed or held by somebody else */
	bool again;  /* KNOWN_ACTIVE: a flush came meanwhile: no waiting after this attempt */
	bool urgent; /* flushed by somebody: defer_transports does not hold it back */
	bool listed; /* KNOWN_FOREIGN: in the list that was read last */
};

struct known {
	struct hash *by_id;
	struct list incoming, foreign;
	struct heap deferred;
	size_t incoming_count;
	bool deferred_turn; /* whose turn it is when both have work */
};

void known_init(struct known *k);
void known_free(struct known *k);
struct known_message *known_find(const struct known *k, const struct queue_id *id);
/* NULL: known already. */
struct known_message *known_add_incoming(struct known *k, const struct queue_id *id);
struct known_message *known_add_deferred(
	struct known *k, enum spool_queue queue, const struct queue_id *id, int64_t due_us);
/* The lists of other queue managers are read anew: none is listed; each that still is; one that is not any
 * more, NULL: all are. */
void known_unlist_foreign(struct known *k);
void known_add_foreign(struct known *k, const struct queue_id *id);
struct known_message *known_unlisted_foreign(const struct known *k);
size_t known_foreign(const struct known *k); /* how many */
/* The next message to be read into the active queue, new and deferred mail in turn; NULL: none is due. Its
 * state is KNOWN_ACTIVE now. */
struct known_message *known_next(struct known *k, int64_t now_us);
int64_t known_next_due(const struct known *k); /* INT64_MAX: nothing is deferred */
void known_defer(struct known *k, struct known_message *m, enum spool_queue queue,
	int64_t due_us);				   /* from any state */
void known_drop(struct known *k, struct known_message *m); /* m is gone after this */
void known_flush(struct known *k, int64_t now_us);	   /* everything deferred is due */
/* The ids of deferred messages that were flushed and not tried since, at most max; how many there are. */
size_t known_urgent(const struct known *k, struct queue_id *out, size_t max);

#endif
