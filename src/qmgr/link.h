/*
 * A connection to a delivery agent's process. The agent says how many deliveries it takes at once; so many
 * requests are with it at most. The connection's end returns what was not answered. Owned by the loop's
 * thread.
 */
#ifndef QMGR_LINK_H
#define QMGR_LINK_H

#include "qmgr/qmgr.h"

#define LINK_SLOTS_MAX 8192u
#define LINK_STRIKES 2	       /* a delivery that was with so many agents when they ended is put off */
#define LINK_HELLO_SECONDS 100 /* an agent that says nothing for so long is unavailable */
#define LINK_FAILURES 3 /* connections in a row that ended without a result: the transport is unavailable */

/* A transport's connections (transport.links). */
struct links {
	struct list list;
	size_t count, greeting; /* greeting: connections whose agent has not spoken yet */
	size_t slots;		/* of those that have */
	int failures;
};

struct link {
	struct watch watch; /* first: the loop's callback gets it */
	struct qmgr *qmgr;
	struct transport *transport;
	struct list node;		     /* links->list, or qmgr->dead_links */
	struct list out_node;		     /* qmgr->links: has output to send */
	int64_t since;			     /* nanoseconds */
	uint32_t slots, in_flight, suspects; /* slots 0: not greeted yet */
	bool draining;			     /* takes no more requests, its slots are not counted any more */
	int64_t stuck_since;		     /* nanoseconds; with want_write: output waits since then */
	bool want_write;
	bool answered; /* gave a result */
	uint64_t next_id;
	struct entry **entries; /* by slot; NULL: free */
	uint64_t
		*ends; /* by slot: where the request ends in the stream of all that was ever put into `out` */
	uint64_t put, sent; /* bytes */
	struct buf in, out;
};

#endif
