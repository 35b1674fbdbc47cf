/* local(8): delivery requests of the queue manager, one at a time. */
#include "base/log.h"
#include "local/local.h"

static bool start(struct service *s, struct err *err)
{
	struct local_env *env = local_env_new(service_config(s), service_spool(s), err);

	service_set_data(s, env);
	return env != NULL;
}

static void end(struct service *s)
{
	struct local_env *env = service_data(s);

	local_env_free(&env);
}

/* false: the queue file is damaged, and the rest of the recipients need not be tried. */
static bool deliver_recipient(struct agent_delivery *d, size_t i, struct spool_reader *reader)
{
	struct local_plan plan = {
		.env = service_data(d->service),
		.agent = d,
		.pool = d->pool,
		.reader = reader,
		.recipient = &d->request->recipients[i],
		.index = i,
	};

	local_recipient(&plan);
	d->result.corrupt |= plan.corrupt;
	return !plan.corrupt;
}

static void deliver(struct agent_delivery *d)
{
	agent_each_recipient(d, "local", deliver_recipient);
}

static void probe(struct agent_delivery *d)
{
	for (size_t i = 0; i < d->request->recipient_count; i++) {
		struct local_plan plan = {
			.env = service_data(d->service),
			.agent = d,
			.pool = d->pool,
			.recipient = &d->request->recipients[i],
			.index = i,
		};

		local_probe(&plan);
	}
}

int main(int argc, char **argv)
{
	static const struct agent_ops ops = {
		.service = {.program = "local",
			.needs_root = true,
			.single_slot = true,
			.start = start,
			.end = end},
		.deliver = deliver,
		.probe = probe,
	};

	return agent_main(argc, argv, &ops);
}
