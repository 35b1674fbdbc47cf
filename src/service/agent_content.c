#include "service/agent.h"

static void not_opened(struct agent_delivery *d, const char *relay, const struct err *err)
{
	agent_outcome_rest(d,
		dsn_make(d->pool, DSN_DELAYED, "4.3.0", "cannot open the message: %s", err->text), relay,
		false);
}

void agent_each_recipient(struct agent_delivery *d, const char *relay, agent_recipient_fn fn)
{
	const struct delivery_request *r = d->request;
	struct spool_reader *reader = NULL;
	struct err err = {""};
	enum spool_status status =
		spool_open_content(service_spool(d->service), r->queue, &r->qid, &reader, &err);

	d->result.corrupt = status == SPOOL_CORRUPT;
	if (status != SPOOL_OK && status != SPOOL_CORRUPT)
		not_opened(d, relay, &err);
	if (status != SPOOL_OK)
		return;
	for (size_t i = 0; i < r->recipient_count; i++) {
		if (!spool_rewind(reader) || !fn(d, i, reader))
			break;
	}
	spool_reader_free(&reader);
}
