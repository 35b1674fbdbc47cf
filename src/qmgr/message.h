/*
 * A message in the active queue, from the moment its file is read until it is removed or deferred. Owned by
 * the loop's thread; a worker owns it while it is being loaded or finished, and reads the decisions given to
 * it while it records them.
 */
#ifndef QMGR_MESSAGE_H
#define QMGR_MESSAGE_H

#include "ipc/delivery.h"
#include "qmgr/known.h"
#include "qmgr/scheduler.h"
#include "qmgr/work.h"

struct qmgr;

/* Where a recipient's mail goes; made by the loader, sorted so that equal ones follow each other. */
struct route {
	uint32_t index; /* recipient, in the envelope */
	const char *transport, *nexthop;
	const char *address; /* as resolved */
};

/* What became of one recipient in this attempt. */
struct decision {
	uint32_t index;
	const struct dsn *dsn;
	enum recipient_state state;
	bool own; /* made by the queue manager itself: not logged yet */
};

enum message_end { MESSAGE_REMOVED, MESSAGE_DEFERRED, MESSAGE_LOST };

struct message;
/* Of an address, for the address verification cache; one whose report is for its sender takes the way of
 * mail. */
bool message_is_probe(const struct message *m);

struct message {
	struct work work; /* load, record or finish: one at a time */
	struct qmgr *qmgr;
	struct known_message *known;
	struct pool *pool;
	struct queue_id id;
	enum spool_queue queue;
	struct list link; /* all active messages */

	/* the loader's result */
	enum spool_status status;
	struct err err;
	struct envelope *env;
	struct route *routes; /* of recipients still to be delivered */
	size_t route_count;

	int64_t active_us;
	struct list jobs;
	struct entry **owners; /* by recipient: the request that carries it, NULL when decided or not ours */
	size_t open;	       /* recipients without a decision */
	struct decision *decisions; /* room for every route */
	size_t decided, recorded;
	size_t recording; /* decisions in the file after the record job that runs; 0: none runs */
	bool finishing;	  /* the last job runs; it is freed after that */
	bool ready;	  /* activation is complete */
	bool gone;	  /* removed or held by somebody else: nothing more is written */
	bool corrupt;
	bool probe;	  /* counted in qmgr's probes */
	bool unproved;	  /* a probe that was not let through */
	bool handed_over; /* after this, what is pending is for another queue manager */
	size_t listed_at; /* where its id stands in the list of a retiring queue manager; 0: nowhere */

	/* the finisher's result */
	enum message_end end;
	int64_t next_us;
};

/* Starts reading a known message (its state is KNOWN_ACTIVE); it becomes active, or leaves the active queue,
 * by itself. */
void message_start(struct qmgr *q, struct known_message *known);
/* The delivery of an entry was answered, or is given up before or after it was tried (dsn). The entry must
 * not be used again. */
void message_result(struct qmgr *q, struct entry *e, const struct delivery_result *result);
void message_put_off(struct qmgr *q, struct entry *e, const char *status, const char *text);
/* Puts off what waits for a destination, or for all of a transport, that is held. */
void message_put_off_dest(struct qmgr *q, struct dest *d);
void message_put_off_transport(struct qmgr *q, struct transport *t);
/* The file was taken away (postsuper): forget it as soon as nothing is under way. */
void message_forget(struct qmgr *q, struct message *m);
/* Retiring: forgets what waits, now or by now. Messages that agents have in hand stay, and what is left of
 * them after that is the successor's. */
void message_hand_over(struct qmgr *q);
/* Builds the request for an entry; strings belong to the message. */
void message_request(
	const struct message *m, const struct entry *e, struct delivery_request *r, struct pool *scratch);

/* load.c, finish.c, record: what workers do. */
void load_run(struct work *work);
void record_run(struct work *work);
void finish_run(struct work *work);
/* When a message of that age is tried again. */
int64_t backoff_next(int64_t now_us, int64_t arrival_us, int minimal, int maximal);
/* Seconds that a message from this sender may stay. */
int message_lifetime(const struct qmgr *q, const struct envelope *e);

#endif
