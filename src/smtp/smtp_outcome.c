#include "smtp/smtp_outcome.h"

#include "base/log.h"
#include "deliver/deliver_command.h"
#include "smtp/smtp_session.h"

static const char *relay_of(const struct smtp_session *s)
{
	return s ? s->relay : "none";
}

/* conn_use is shown from the second use on. */
static int use_of(const struct smtp_session *s)
{
	return s && s->uses > 1 ? s->uses : 0;
}

static const struct dsn *filtered(const struct smtp_delivery *d, const struct dsn *dsn)
{
	const char *parameter =
		d->client->lmtp ? "lmtp_delivery_status_filter" : "smtp_delivery_status_filter";

	return deliver_filter_status(d->client->status_filter, parameter, d->pool, dsn);
}

static void decide(
	const struct smtp_delivery *d, size_t i, const struct dsn *dsn, const struct smtp_session *s)
{
	if (!agent_decided(d->agent, i))
		agent_outcome(d->agent, i, filtered(d, dsn), relay_of(s), use_of(s));
}

static bool decides(const struct smtp_delivery *d, const struct dsn *dsn)
{
	return (dsn->action == DSN_FAILED && !d->client->cfg->soft_bounce) || d->last_host;
}

/* Keeps the relay's name in the delivery's pool, because the session may end first. */
static void remember_place(
	struct smtp_delivery *d, const struct dsn *dsn, const struct smtp_session *s, bool trouble)
{
	d->why = dsn;
	d->why_relay = pool_strdup(d->pool, relay_of(s));
	d->why_use = use_of(s);
	d->why_trouble = trouble;
}

static void remember(
	struct smtp_delivery *d, const struct dsn *dsn, const struct smtp_session *s, bool trouble)
{
	remember_place(d, dsn, s, trouble);
	for (size_t i = 0; i < d->request->recipient_count; i++)
		d->whose[i] = NULL;
}

static void decide_all(struct smtp_delivery *d, const struct dsn *dsn, const struct smtp_session *s)
{
	for (size_t i = 0; i < d->request->recipient_count; i++)
		decide(d, i, dsn, s);
}

static void log_trouble(const struct smtp_delivery *d, const struct dsn *dsn, const struct smtp_session *s)
{
	if (s)
		log_info("%s: %s", d->request->qid.text, dsn->reason);
	else
		log_info("%s", dsn->reason);
}

void smtp_fail_site(struct smtp_delivery *d, const struct dsn *dsn, const struct smtp_session *s)
{
	remember(d, dsn, s, dsn->action != DSN_FAILED);
	if (!s || !decides(d, dsn))
		log_trouble(d, dsn, s);
	if (s && decides(d, dsn)) {
		decide_all(d, dsn, s);
		if (dsn->action != DSN_FAILED)
			d->agent->result.trouble = dsn;
	}
}

void smtp_fail_message(struct smtp_delivery *d, const struct dsn *dsn, const struct smtp_session *s)
{
	remember(d, dsn, s, false);
	if (decides(d, dsn))
		decide_all(d, dsn, s);
	else
		log_trouble(d, dsn, s);
}

void smtp_fail_recipient(
	struct smtp_delivery *d, size_t i, const struct dsn *dsn, const struct smtp_session *s)
{
	if (decides(d, dsn)) {
		decide(d, i, dsn, s);
		return;
	}
	remember_place(d, dsn, s, false);
	d->whose[i] = dsn;
	log_trouble(d, dsn, s);
}

void smtp_fail_accepted(struct smtp_delivery *d, const struct dsn *dsn, const struct smtp_session *s)
{
	bool decided = decides(d, dsn);

	for (size_t i = 0; i < d->request->recipient_count; i++) {
		if (d->progress[i] != PROGRESS_ACCEPTED)
			continue;
		if (decided)
			decide(d, i, dsn, s);
		else
			d->whose[i] = dsn;
	}
	if (decided)
		return;
	remember_place(d, dsn, s, false);
	log_trouble(d, dsn, s);
}

static enum dsn_action sent_action(const struct smtp_session *s)
{
	if (s->features & FEATURE_DSN)
		return DSN_PASSED_ON;
	return s->client->lmtp && s->client->cfg->lmtp_assume_final ? DSN_DELIVERED : DSN_RELAYED;
}

void smtp_sent(
	struct smtp_delivery *d, size_t i, const struct smtp_reply *reply, const struct smtp_session *s)
{
	char status[12];
	struct dsn *dsn;

	smtp_reply_status(reply, status);
	dsn = dsn_make(d->pool, sent_action(s), status, "%s", reply->text);
	dsn->diag_type = "smtp";
	dsn->diag_text = pool_strdup(d->pool, reply->text);
	dsn->mta_type = "dns";
	dsn->mta_name = pool_strdup(d->pool, s->host);
	decide(d, i, dsn, s);
}

void smtp_fail_rest(struct smtp_delivery *d)
{
	if (smtp_all_decided(d))
		return;
	if (!d->why)
		d->why = dsn_make(d->pool, DSN_DELAYED, "4.3.0", "mail system error: no host was tried");
	for (size_t i = 0; i < d->request->recipient_count; i++)
		if (!agent_decided(d->agent, i) && d->whose[i])
			agent_outcome(d->agent, i, filtered(d, d->whose[i]), d->why_relay, d->why_use);
	agent_outcome_rest(
		d->agent, filtered(d, d->why), d->why_relay ? d->why_relay : "none", d->why_trouble);
}

bool smtp_all_decided(const struct smtp_delivery *d)
{
	for (size_t i = 0; i < d->request->recipient_count; i++)
		if (!agent_decided(d->agent, i))
			return false;
	return true;
}
