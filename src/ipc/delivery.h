/*
 * Between the queue manager and delivery agents, over the agent service's UNIX socket: on connecting the
 * agent says how many deliveries it takes at once, the queue manager sends requests, the agent answers each
 * once, in any order. The connection's end returns what was not answered to the queue.
 */
#ifndef IPC_DELIVERY_H
#define IPC_DELIVERY_H

#include "ipc/frame.h"
#include "spool/spool.h"

enum { FRAME_AGENT_HELLO = 1, FRAME_DELIVER = 2, FRAME_RESULT = 3 };

struct agent_hello {
	uint32_t slots; /* deliveries at once in this process */
	uint32_t pid;
};

struct delivery_recipient {
	uint32_t index; /* in the envelope */
	const char *address, *original, *orcpt;
	int notify;
};

struct delivery_request {
	uint64_t id;
	struct queue_id qid;
	enum spool_queue queue; /* where the file is */
	const char *transport;	/* service name */
	const char *nexthop;
	const char *sender;
	const char *envid;
	enum dsn_ret ret;
	int flags; /* ENVELOPE_ bits */
	uint64_t content_size;
	int64_t arrival_us;
	int64_t active_us;     /* when it entered the active queue */
	int64_t request_us;    /* when this request was made (delays' second figure) */
	bool final_attempt;    /* no more tries after this one */
	bool busy_destination; /* more mail waits for it or is on its way there: keep the connection
				  (smtp_connection_cache_on_demand) */
	struct spool_attribute *attributes;
	size_t attribute_count;
	struct delivery_recipient *recipients;
	size_t recipient_count;
};

struct delivery_outcome {
	uint32_t index;
	const struct dsn *dsn; /* NULL with a transport */
	/* The agent leaves the recipient to another (mailbox_transport): no decision yet. NULL: no. */
	const char *transport, *nexthop;
};

struct delivery_result {
	uint64_t id;
	/* Set when the destination as a whole could not be used (no connection, refused greeting): negative
	 * feedback, and all recipients there are delayed. */
	const struct dsn *trouble;
	bool corrupt; /* the queue file is damaged */
	struct delivery_outcome
		*outcomes; /* one per recipient that was decided; the others stay pending with `trouble` */
	size_t outcome_count;
};

void agent_hello_encode(struct buf *out, const struct agent_hello *h);
bool agent_hello_decode(struct cursor fields, struct agent_hello *h);
const char *delivery_attribute(const struct delivery_request *r, const char *name); /* NULL: absent */
void delivery_request_encode(struct buf *out, const struct delivery_request *r);
bool delivery_request_decode(struct cursor fields, struct pool *pool, struct delivery_request *r);
void delivery_result_encode(struct buf *out, const struct delivery_result *r);
bool delivery_result_decode(struct cursor fields, struct pool *pool, struct delivery_result *r);

#endif
