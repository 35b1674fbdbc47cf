#include "mail/event.h"
#include "service/agent_private.h"

static int64_t not_negative(int64_t us)
{
	return us > 0 ? us : 0;
}

/* Before the active queue, in the queue manager, connection set-up, transmission. */
static void format_delays(const struct agent_delivery *d, int64_t now, char *out, size_t size)
{
	const struct delivery_request *r = d->request;
	int64_t parts[4] = {r->active_us - r->arrival_us, d->start_us - r->active_us, d->setup_us,
		now - d->start_us - d->setup_us};
	char text[4][24];

	for (int i = 0; i < 4; i++)
		event_format_seconds(not_negative(parts[i]), text[i], sizeof text[i]);
	snprintf(out, size, "%s/%s/%s/%s", text[0], text[1], text[2], text[3]);
}

static const char *different_original(const char *original, const char *address)
{
	return original && *original && ascii_casecmp(original, address) != 0 ? original : NULL;
}

static struct event_field conn_use_field(int conn_use)
{
	return conn_use > 0 ? ev_int("conn_use", conn_use) : ev_text("conn_use", NULL);
}

static bool is_probe(const struct agent_delivery *d)
{
	return d->request->flags & ENVELOPE_PROBE;
}

static const char *log_status(const struct agent_delivery *d, const struct dsn *dsn)
{
	return is_probe(d) ? dsn_probe_status(dsn->action) : dsn_log_status(dsn);
}

void agent_log(struct agent_delivery *d, const char *address, const char *original, const struct dsn *dsn,
	const char *relay, int conn_use)
{
	int64_t now = clock_real();
	char delays[100];

	format_delays(d, now, delays, sizeof delays);
	EVENT_LOG(DELIVERY, ev_text("qid", d->request->qid.text), ev_address("to", address),
		ev_address("orig_to", different_original(original, address)), ev_text("relay", relay),
		conn_use_field(conn_use), ev_seconds("delay", not_negative(now - d->request->arrival_us)),
		ev_text("delays", delays), ev_text("dsn", dsn->status), ev_text("status", log_status(d, dsn)),
		ev_text("text", dsn->reason));
}

static struct agent_job *job_of(const struct agent_delivery *d)
{
	return container_of((struct agent_delivery *)(uintptr_t)d, struct agent_job, delivery);
}

bool agent_decided(const struct agent_delivery *d, size_t i)
{
	return job_of(d)->decided[i];
}

static void decide(struct agent_delivery *d, size_t i, struct delivery_outcome outcome)
{
	outcome.index = d->request->recipients[i].index;
	job_of(d)->decided[i] = true;
	d->result.outcomes[d->result.outcome_count++] = outcome;
}

void agent_decide(struct agent_delivery *d, size_t i, const struct dsn *dsn)
{
	if (!agent_decided(d, i))
		decide(d, i, (struct delivery_outcome){.dsn = dsn});
}

void agent_pass(struct agent_delivery *d, size_t i, const char *transport, const char *nexthop)
{
	if (!agent_decided(d, i))
		decide(d, i, (struct delivery_outcome){.transport = transport, .nexthop = nexthop});
}

void agent_outcome(struct agent_delivery *d, size_t i, const struct dsn *dsn, const char *relay, int conn_use)
{
	const struct delivery_recipient *r = &d->request->recipients[i];

	if (agent_decided(d, i))
		return;
	if (service_config(d->service)->soft_bounce && !is_probe(d))
		dsn = dsn_soften(d->pool, dsn);
	agent_decide(d, i, dsn);
	agent_log(d, r->address, r->original, dsn, relay, conn_use);
}

void agent_outcome_rest(struct agent_delivery *d, const struct dsn *dsn, const char *relay, bool trouble)
{
	for (size_t i = 0; i < d->request->recipient_count; i++)
		agent_outcome(d, i, dsn, relay, 0);
	if (trouble)
		d->result.trouble = dsn;
}

void agent_outcome_missing(struct agent_job *job)
{
	struct agent_delivery *d = &job->delivery;

	if (d->result.corrupt)
		return;
	agent_outcome_rest(d,
		dsn_make(d->pool, DSN_DELAYED, "4.3.0", "mail system error: delivery without outcome"),
		"none", false);
}
