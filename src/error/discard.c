/* discard(8): the delivery agent that claims success and drops the mail, with the next hop as reason. */
#include "error/reason.h"
#include "service/agent.h"

static void deliver(struct agent_delivery *d)
{
	agent_outcome_rest(
		d, reason_make(d->pool, DSN_DELIVERED, d->request->nexthop, "discarded"), "none", false);
}

int main(int argc, char **argv)
{
	static const struct agent_ops ops = {
		.service = {.program = "discard"}, .deliver = deliver, .probe = deliver};

	return agent_main(argc, argv, &ops);
}
