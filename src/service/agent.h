/*
 * The skeleton of a delivery agent over service.h: reads requests from the queue manager, runs each in a
 * slot, logs each recipient's outcome (EV_DELIVERY) and answers.
 */
#ifndef SERVICE_AGENT_H
#define SERVICE_AGENT_H

#include "ipc/delivery.h"
#include "service/service.h"

/* One delivery in progress; lives from deliver() begin to end; strings in its pool. */
struct agent_delivery {
	struct service *service;
	const struct delivery_request *request;
	struct pool *pool;
	void *cache;		       /* slot cache */
	struct delivery_result result; /* filled through the calls below */
	/* for the log line */
	int64_t setup_us; /* connection set-up time so far (third of delays) */
	int64_t start_us; /* when deliver() began, real time */
};

/* Decides one recipient: i indexes request->recipients. Logs EV_DELIVERY with relay ("host[addr]:port",
 * "local", "none") and adds the outcome. conn_use 0: not shown. */
void agent_outcome(
	struct agent_delivery *d, size_t i, const struct dsn *dsn, const char *relay, int conn_use);
/* The parts of agent_outcome: what became of what a recipient was expanded to, for the log; and the decision
 * itself, without a line in the log. */
void agent_log(struct agent_delivery *d, const char *address, const char *original, const struct dsn *dsn,
	const char *relay, int conn_use);
void agent_decide(struct agent_delivery *d, size_t i, const struct dsn *dsn);
/* Leaves one recipient to another agent, which the queue manager asks. */
void agent_pass(struct agent_delivery *d, size_t i, const char *transport, const char *nexthop);
/* All recipients without an outcome get dsn; with trouble true the destination is reported as unusable. */
void agent_outcome_rest(struct agent_delivery *d, const struct dsn *dsn, const char *relay, bool trouble);
bool agent_decided(const struct agent_delivery *d, size_t i);

/*
 * For agents that deliver the recipients of a request one after the other: opens the content and calls fn for
 * each, the reader at its start. false from fn: the rest need not be tried (d->result.corrupt says why).
 */
typedef bool (*agent_recipient_fn)(struct agent_delivery *d, size_t i, struct spool_reader *reader);
void agent_each_recipient(struct agent_delivery *d, const char *relay, agent_recipient_fn fn);

struct agent_ops {
	struct service_ops service; /* accepted, run and slots are filled by agent_main */
	void (*deliver)(struct agent_delivery *d);
	/* Decides the recipients of a probe (ENVELOPE_PROBE) without delivering anything. NULL: all are good.
	 */
	void (*probe)(struct agent_delivery *d);
};

int agent_main(int argc, char **argv, const struct agent_ops *ops);

#endif
