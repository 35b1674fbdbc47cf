/*
 * error(8): the delivery agent that always fails, with the next hop as reason. Under the service name "retry"
 * it defers. Recipients are the queue manager's to report.
 */
#include "error/reason.h"
#include "service/agent.h"

static void deliver(struct agent_delivery *d)
{
	bool retry = strcmp(service_name(d->service), "retry") == 0;
	enum dsn_action action = retry ? DSN_DELAYED : DSN_FAILED;

	agent_outcome_rest(d, reason_make(d->pool, action, d->request->nexthop, "Address is undeliverable"),
		"none", false);
}

int main(int argc, char **argv)
{
	static const struct agent_ops ops = {
		.service = {.program = "error"}, .deliver = deliver, .probe = deliver};

	return agent_main(argc, argv, &ops);
}
