#include "smtpd/notify.h"

#include "base/log.h"
#include "smtpd/session.h"

/* What is the same for all sessions is read once; under overload the values are others. */
void notify_begin(struct session *s)
{
	s->notify.wanted =
		s->cfg == s->server->cfg ? s->server->notices : notice_classes(s->cfg->notify_classes);
}

void notify_note(struct session *s, unsigned classes)
{
	s->notify.noted = true;
	s->notify.classes |= classes;
}

void notify_heard(struct session *s, struct str line)
{
	if (s->notify.wanted)
		transcript_received(&s->notify.transcript, line);
}

void notify_said(struct session *s, struct str line)
{
	if (s->notify.wanted)
		transcript_sent(&s->notify.transcript, line);
}

static void tell(struct session *s, const char *aborted)
{
	const struct notice notice = {.program = "SMTP server",
		.peer = s->client.text,
		.classes = s->notify.classes,
		.transcript = &s->notify.transcript,
		.aborted = aborted};
	struct queue_id id;
	struct err err = {""};

	if (!(s->notify.classes & s->notify.wanted))
		return;
	if (!notice_send(s->cfg, s->server->cleanup, &notice, &id, &err))
		log_warning("postmaster notice: %s", err.text);
}

void notify_end(struct session *s)
{
	tell(s, s->protocol_end);
}

void notify_flush(struct session *s)
{
	if (s->notify.transcript.lines <= (size_t)s->cfg->smtpd_history_flush_threshold)
		return;
	tell(s, NULL);
	s->notify.classes = 0;
	transcript_free(&s->notify.transcript);
}
