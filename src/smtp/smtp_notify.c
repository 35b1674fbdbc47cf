#include "smtp/smtp_notify.h"

#include "base/log.h"
#include "base/mem.h"
#include "mail/address.h"

struct smtp_notices {
	struct resolver *resolver;
	struct queue_notifier *notifier;
	struct cleanup_env *cleanup;
};

bool smtp_notices_open(struct smtp_client *c, struct err *err)
{
	struct smtp_notices *n;

	if (!(notice_classes(c->cfg->notify_classes) & NOTICE_PROTOCOL))
		return true;
	n = c->notices = x_alloc(sizeof(*n));
	n->notifier = queue_notifier_new(c->cfg->queue_service_name);
	n->resolver = resolver_new(c->cfg, err);
	if (n->resolver)
		n->cleanup =
			cleanup_env_new(c->cfg, service_spool(c->service), n->resolver, n->notifier, err);
	return n->cleanup != NULL;
}

void smtp_notices_close(struct smtp_client *c)
{
	if (!c->notices)
		return;
	cleanup_env_free(&c->notices->cleanup);
	resolver_free(&c->notices->resolver);
	queue_notifier_free(&c->notices->notifier);
	x_free(&c->notices);
}

void smtp_notify_said(struct smtp_session *s, struct str line)
{
	if (s->client->notices)
		transcript_sent(&s->transcript, str_trim(line));
}

void smtp_notify_heard(struct smtp_session *s, const struct smtp_reply *reply)
{
	struct str rest = str_c(reply->text), line;

	while (s->client->notices && str_word(&rest, "\n", &line))
		transcript_received(&s->transcript, str_trim(line));
}

/* 500 to 509: what we said is not understood. 2xx and 3xx come here when they answer something else. */
void smtp_notify_judge(struct smtp_session *s, const struct smtp_reply *reply)
{
	int class = reply->code / 100;

	if ((class != 4 && class != 5) || reply->code / 10 == 50)
		s->out_of_protocol = true;
}

void smtp_notify(const struct smtp_delivery *d, struct smtp_session *s)
{
	const struct config *cfg = s->client->cfg;
	const struct notice notice = {
		.program = s->client->lmtp ? "LMTP client" : "SMTP client",
		.peer = s->relay,
		.classes = NOTICE_PROTOCOL,
		.transcript = &s->transcript,
		.first = pool_printf(d->pool, "Unexpected response from %s.", s->relay),
	};
	struct queue_id id;
	struct err err = {""};

	if (!s->out_of_protocol || !s->client->notices)
		return;
	s->out_of_protocol = false;
	if (str_case_is(address_local(str_c(d->request->sender)), cfg->double_bounce_sender))
		return;
	if (!notice_send(cfg, s->client->notices->cleanup, &notice, &id, &err))
		log_warning("%s: postmaster notice: %s", d->request->qid.text, err.text);
}
