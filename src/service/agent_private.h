/* A delivery between agent.c, which carries it, and agent_outcome.c, which decides its recipients. */
#ifndef SERVICE_AGENT_PRIVATE_H
#define SERVICE_AGENT_PRIVATE_H

#include "service/agent.h"

struct agent;
struct agent_conn;

struct agent_job {
	struct task task;
	struct agent_delivery delivery;
	struct agent *agent;
	struct agent_conn *conn; /* a reference */
	struct pool *pool;	 /* holds this struct too */
	struct delivery_request *request;
	bool *decided; /* by place in request->recipients */
};

/* Recipients that deliver() left without an outcome, by a fault of the program, are tried again later. */
void agent_outcome_missing(struct agent_job *job);

#endif
