/* local(8): delivery requests of the queue manager, one at a time. */
#include "base/log.h"
#include "local/local.h"
#include "service/agent.h"

static bool start(struct service *s, struct err *err)
{
	struct local_settings *settings = x_alloc(sizeof(*settings));

	service_set_data(s, settings);
	return local_settings_make(settings, service_config(s), err);
}

static void end(struct service *s)
{
	struct local_settings *settings = service_data(s);

	x_free(&settings);
}

/* false: the queue file is damaged, and the rest of the recipients need not be tried. */
static bool deliver_recipient(struct agent_delivery *d, size_t i, struct spool_reader *reader)
{
	const struct delivery_recipient *r = &d->request->recipients[i];
	struct local_job job = {
		.settings = service_data(d->service),
		.pool = d->pool,
		.reader = reader,
		.sender = d->request->sender ? d->request->sender : "",
		.recipient = r->address,
		.original = r->original,
		.queue_id = d->request->qid.text,
	};
	const struct dsn *dsn = local_deliver(&job);

	if (job.corrupt) {
		d->result.corrupt = true;
		return false;
	}
	agent_outcome(d, i, dsn, "local", 0);
	return true;
}

static void deliver(struct agent_delivery *d)
{
	const struct delivery_request *r = d->request;
	struct spool_reader *reader = NULL;
	struct err err = {""};
	enum spool_status status =
		spool_open_content(service_spool(d->service), r->queue, &r->qid, &reader, &err);

	d->result.corrupt = status == SPOOL_CORRUPT;
	if (status != SPOOL_OK) {
		if (status != SPOOL_CORRUPT)
			agent_outcome_rest(d,
				dsn_make(d->pool, DSN_DELAYED, "4.3.0", "cannot open the message: %s",
					err.text),
				"local", false);
		return;
	}
	for (size_t i = 0; i < r->recipient_count; i++) {
		if (!spool_rewind(reader) || !deliver_recipient(d, i, reader))
			break;
	}
	spool_reader_free(&reader);
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
	};

	return agent_main(argc, argv, &ops);
}
