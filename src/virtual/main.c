/* virtual(8): delivery requests of the queue manager, one at a time. */
#include "virtual/virtual.h"

static bool start(struct service *s, struct err *err)
{
	struct virtual_env *env = virtual_env_new(service_config(s), err);

	service_set_data(s, env);
	return env != NULL;
}

static void end(struct service *s)
{
	struct virtual_env *env = service_data(s);

	virtual_env_free(&env);
}

static bool deliver_recipient(struct agent_delivery *d, size_t i, struct spool_reader *reader)
{
	const struct virtual_env *env = service_data(d->service);
	const struct delivery_recipient *r = &d->request->recipients[i];
	struct deliver_job job = {
		.settings = &env->deliver,
		.pool = d->pool,
		.reader = reader,
		.sender = d->request->sender,
		.delivered = r->address,
		.queue_id = d->request->qid.text,
	};
	const struct dsn *dsn;

	if (env->cfg->enable_original_recipient)
		job.original = r->original && r->original[0] ? r->original : r->address;
	dsn = virtual_deliver(env, &job, r->address);
	d->result.corrupt |= job.corrupt;
	if (!job.corrupt)
		agent_outcome(d, i, dsn, service_name(d->service), 0);
	return !job.corrupt;
}

static void deliver(struct agent_delivery *d)
{
	agent_each_recipient(d, service_name(d->service), deliver_recipient);
}

/* What would be done for a recipient, told without doing it. */
static void probe(struct agent_delivery *d)
{
	const struct virtual_env *env = service_data(d->service);

	for (size_t i = 0; i < d->request->recipient_count; i++) {
		struct virtual_mailbox box;
		const struct dsn *dsn = virtual_lookup(env, d->pool, d->request->recipients[i].address, &box);

		if (!dsn)
			dsn = dsn_make(d->pool, DSN_DELIVERED, "2.0.0", "delivers to mailbox");
		agent_outcome(d, i, dsn, service_name(d->service), 0);
	}
}

int main(int argc, char **argv)
{
	static const struct agent_ops ops = {
		.service = {.program = "virtual",
			.needs_root = true,
			.single_slot = true,
			.start = start,
			.end = end},
		.deliver = deliver,
		.probe = probe,
	};

	return agent_main(argc, argv, &ops);
}
