#include "smtp/smtp_transaction.h"

#include "base/log.h"
#include "mail/address.h"
#include "smtp/smtp_dialogue.h"
#include "smtp/smtp_generic.h"
#include "smtp/smtp_notify.h"
#include "smtp/smtp_outcome.h"
#include "smtp/smtp_pix.h"
#include "smtp/smtp_session.h"
#include "smtp/smtp_xforward.h"

#define WINDOW                                                                                               \
	64 /* commands that wait for their replies at once: few enough for the socket buffers of both sides  \
	    */
#define COMMAND_MAX 8192
#define EARLY_REPLY_SECONDS 5

/* Steps: 0 is MAIL, 1 to count are RCPT, count + 1 is DATA. */
struct transaction {
	struct smtp_delivery *d;
	struct smtp_session *s;
	const char *sender, **addresses; /* on the wire; addresses by place in the request */
	size_t *recipients;		 /* places in the request */
	size_t count;
	size_t said, heard; /* steps */
	size_t accepted;    /* recipients */
	bool mail_refused;
	bool data_open; /* 354 */
	bool stale;
	bool probe, past_rcpt; /* of an address: the answer to RCPT, or to DATA, is all that is wanted */
	struct buf line;
};

static bool is_data(const struct transaction *t, size_t step)
{
	return step == t->count + 1;
}

static void put_path(struct transaction *t, const char *address)
{
	buf_putc(&t->line, '<');
	if (t->s->client->cfg->smtp_quote_rfc821_envelope)
		address_quote(str_c(address), &t->line);
	else
		buf_puts(&t->line, address);
	buf_putc(&t->line, '>');
}

static void put_body(struct transaction *t, const struct delivery_request *r)
{
	const char *body = delivery_attribute(r, "body");

	if (!(t->s->features & FEATURE_8BITMIME))
		return;
	if (r->flags & ENVELOPE_8BIT || (body && ascii_casecmp(body, "8BITMIME") == 0))
		buf_puts(&t->line, " BODY=8BITMIME");
	else if (body && ascii_casecmp(body, "7BIT") == 0)
		buf_puts(&t->line, " BODY=7BIT");
}

static void say_mail(struct transaction *t)
{
	const struct delivery_request *r = t->d->request;
	int features = t->s->features;

	buf_puts(&t->line, "MAIL FROM:");
	put_path(t, t->sender);
	if (features & FEATURE_SIZE)
		buf_printf(&t->line, " SIZE=%llu", (unsigned long long)r->content_size);
	put_body(t, r);
	if (features & FEATURE_DSN && r->envid && r->envid[0]) {
		buf_puts(&t->line, " ENVID=");
		xtext_encode(str_c(r->envid), &t->line);
	}
	if (features & FEATURE_DSN && r->ret != RET_NONE)
		buf_printf(&t->line, " RET=%s", r->ret == RET_FULL ? "FULL" : "HDRS");
	if (features & FEATURE_SMTPUTF8 && (t->d->utf8 || r->flags & ENVELOPE_SMTPUTF8))
		buf_puts(&t->line, " SMTPUTF8");
	if (t->s->logged_in && t->s->client->cfg->smtp_send_dummy_mail_auth)
		buf_puts(&t->line, " AUTH=<>");
}

/* RFC 3461 section 4.2: the recipient as the sender knew it. */
static void put_orcpt(struct transaction *t, const struct delivery_recipient *r)
{
	struct str orcpt = str_c(r->orcpt), type;
	ptrdiff_t semicolon = str_find(orcpt, ';');

	if (semicolon > 0) {
		type = str_first(orcpt, (size_t)semicolon);
		buf_printf(&t->line, " ORCPT=" STR_FMT ";", STR_ARG(type));
		xtext_encode(str_from(orcpt, (size_t)semicolon + 1), &t->line);
	} else {
		buf_puts(&t->line, " ORCPT=rfc822;");
		xtext_encode(str_c(r->original && r->original[0] ? r->original : r->address), &t->line);
	}
}

static void say_rcpt(struct transaction *t, size_t i)
{
	const struct delivery_recipient *r = &t->d->request->recipients[i];
	char notify[32];

	buf_puts(&t->line, "RCPT TO:");
	put_path(t, t->addresses[i]);
	if (!(t->s->features & FEATURE_DSN))
		return;
	put_orcpt(t, r);
	if (r->notify)
		buf_printf(&t->line, " NOTIFY=%s", dsn_format_notify(r->notify, notify));
}

static void say_step(struct transaction *t, size_t step)
{
	buf_clear(&t->line);
	if (step == 0)
		say_mail(t);
	else if (is_data(t, step))
		buf_puts(&t->line, "DATA");
	else
		say_rcpt(t, t->recipients[step - 1]);
	buf_puts(&t->line, "\r\n");
	stream_write(t->s->stream, t->line.data, t->line.len);
	smtp_dialogue_said(t->s, buf_slice(&t->line));
}

static void hear_mail(struct transaction *t, const struct smtp_reply *reply)
{
	if (reply->code / 100 == 2)
		return;
	t->mail_refused = true;
	if (t->s->uses > 1)
		t->stale = true;
	else
		smtp_fail_message(t->d, smtp_refusal(t->s, t->d->pool, reply, "MAIL FROM command"), t->s);
}

static void hear_rcpt(struct transaction *t, size_t i, const struct smtp_reply *reply)
{
	struct smtp_delivery *d = t->d;

	if (t->mail_refused)
		return;
	if (reply->code / 100 == 2) {
		d->progress[i] = PROGRESS_ACCEPTED;
		t->accepted++;
		if (t->probe && !t->past_rcpt)
			smtp_sent(d, i, reply, t->s);
		return;
	}
	d->progress[i] = PROGRESS_REFUSED;
	smtp_fail_recipient(d, i, smtp_refusal(t->s, d->pool, reply, "RCPT TO command"), t->s);
}

static void hear_data(struct transaction *t, const struct smtp_reply *reply)
{
	t->data_open = reply->code / 100 == 3;
	if (!t->data_open && t->accepted > 0)
		smtp_fail_accepted(t->d, smtp_refusal(t->s, t->d->pool, reply, "DATA command"), t->s);
	else if (t->probe && t->data_open)
		for (size_t n = 0; n < t->count; n++)
			if (t->d->progress[t->recipients[n]] == PROGRESS_ACCEPTED)
				smtp_sent(t->d, t->recipients[n], reply, t->s);
}

static void lost(struct transaction *t, const char *doing)
{
	smtp_fail_site(t->d, smtp_trouble(t->s, t->d->pool, doing), t->s);
}

/* false: the session is lost, or stale. */
static bool hear_step(struct transaction *t, size_t step)
{
	const struct config *cfg = t->s->client->cfg;
	struct smtp_reply reply;
	bool heard;

	if (step == 0) {
		heard = smtp_hear(t->s, cfg->smtp_mail_timeout, &reply);
		t->stale = !heard && t->s->uses > 1;
		if (!heard && !t->stale)
			lost(t, "sending MAIL FROM");
		if (heard)
			hear_mail(t, &reply);
	} else if (is_data(t, step)) {
		heard = smtp_hear(t->s, cfg->smtp_data_init_timeout, &reply);
		if (heard)
			hear_data(t, &reply);
		else
			lost(t, "sending DATA command");
	} else {
		heard = smtp_hear(t->s, cfg->smtp_rcpt_timeout, &reply);
		if (heard)
			hear_rcpt(t, t->recipients[step - 1], &reply);
		else
			lost(t, "sending RCPT TO");
	}
	smtp_reply_free(&reply);
	return heard && !t->stale;
}

/* DATA is not said when every recipient is known to be refused. */
static bool may_say(const struct transaction *t)
{
	bool pipelining = t->s->features & FEATURE_PIPELINING;
	size_t waiting = t->said - t->heard;

	if (t->said > t->count + 1 || t->s->failed || waiting >= (pipelining ? WINDOW : 1))
		return false;
	if (t->mail_refused || (is_data(t, t->said) && t->probe && !t->past_rcpt))
		return false;
	return !is_data(t, t->said) || t->accepted > 0 || waiting > 0;
}

static bool envelope(struct transaction *t)
{
	for (;;) {
		while (may_say(t))
			say_step(t, t->said++);
		if (t->heard == t->said)
			return true;
		if (!hear_step(t, t->heard++))
			return false;
	}
}

/* What the verdict means for one recipient, or for all. */
static void hear_end(struct transaction *t, const struct smtp_reply *reply, size_t i)
{
	const struct dsn *dsn;

	if (reply->code / 100 == 2) {
		smtp_sent(t->d, i, reply, t->s);
		return;
	}
	dsn = smtp_refusal(t->s, t->d->pool, reply, "end of DATA command");
	if (t->s->client->lmtp)
		smtp_fail_recipient(t->d, i, dsn, t->s);
	else
		smtp_fail_accepted(t->d, dsn, t->s);
}

static bool hear_verdict(struct transaction *t, struct smtp_reply *reply)
{
	if (smtp_hear(t->s, t->s->client->cfg->smtp_data_done_timeout, reply))
		return true;
	lost(t, "sending end of data -- message may be sent more than once");
	return false;
}

/* SMTP gives one verdict for all recipients, LMTP one for each (RFC 2033 section 4.2). */
static void hear_verdicts(struct transaction *t)
{
	bool each = t->s->client->lmtp, have = false;
	struct smtp_reply reply = {0};

	for (size_t n = 0; n < t->count; n++) {
		size_t i = t->recipients[n];

		if (t->d->progress[i] != PROGRESS_ACCEPTED)
			continue;
		if (!have || each) {
			smtp_reply_free(&reply);
			if (!hear_verdict(t, &reply))
				return;
			have = true;
		}
		hear_end(t, &reply, i);
		if (!each && reply.code / 100 != 2)
			break;
	}
	smtp_reply_free(&reply);
}

/* The server wants content although it refused all recipients: it gets none. */
static void send_nothing(struct transaction *t)
{
	struct smtp_reply reply;

	smtp_say(t->s, ".\r\n");
	if (smtp_hear(t->s, t->s->client->cfg->smtp_data_done_timeout, &reply))
		smtp_reply_free(&reply);
}

/* A server that closes while we send has often said why. */
static bool said_why(struct transaction *t)
{
	struct smtp_reply reply;
	bool refused;

	if (t->s->timed_out)
		return false;
	t->s->failed = false;
	if (!smtp_hear(t->s, EARLY_REPLY_SECONDS, &reply))
		return false;
	t->s->failed = true;
	refused = reply.code >= 400;
	if (refused)
		smtp_fail_accepted(t->d, smtp_refusal(t->s, t->d->pool, &reply, "end of DATA command"), t->s);
	smtp_reply_free(&reply);
	return refused;
}

static void tables_failed(struct smtp_delivery *d, const struct smtp_session *s, const struct err *err)
{
	log_warning("%s: %s", d->request->qid.text, err->text);
	smtp_fail_message(
		d, dsn_make(d->pool, DSN_DELAYED, "4.3.0", "mail system error: address lookup problem"), s);
}

/* The final dot must not be said after half a message: the session ends without it. */
static void content_failed(struct transaction *t, enum content_end how, const struct err *err)
{
	const char *qid = t->d->request->qid.text;

	t->s->failed = true;
	if (how == CONTENT_LOST) {
		if (!said_why(t))
			lost(t, "sending message body");
		return;
	}
	if (how == CONTENT_REFUSED) {
		smtp_fail_message(t->d, dsn_make(t->d->pool, DSN_FAILED, "5.6.0", "%s", err->text), t->s);
		return;
	}
	if (how == CONTENT_UNDECIDED) {
		log_warning("%s: %s", qid, err->text);
		smtp_fail_message(t->d,
			dsn_make(t->d->pool, DSN_DELAYED, "4.3.0", "local data error while talking to %s",
				t->s->label),
			t->s);
		return;
	}
	log_warning("%s: queue file: %s", qid, err->text);
	if (how == CONTENT_DAMAGED)
		t->d->agent->result.corrupt = true;
	else
		smtp_fail_message(t->d,
			dsn_make(
				t->d->pool, DSN_DELAYED, "4.3.0", "mail system error: queue file read error"),
			t->s);
}

/* true: QUIT was sent with the dot. */
static bool send_message(struct transaction *t, struct spool_reader *reader, bool keep)
{
	bool first_of_line, quit = !keep && t->s->features & FEATURE_PIPELINING;
	struct err err = {""};
	enum content_end how = smtp_send_content(t->s, reader, t->d->request, &first_of_line, &err);

	if (how != CONTENT_SENT) {
		content_failed(t, how, &err);
		return false;
	}
	smtp_pix_pause(t->s, t->d->request);
	smtp_end_content(t->s->stream, first_of_line);
	smtp_dialogue_said(t->s, STR("."));
	if (quit)
		smtp_say(t->s, "QUIT\r\n");
	hear_verdicts(t);
	return quit;
}

static void reset(struct smtp_session *s)
{
	struct smtp_reply reply;

	smtp_say(s, "RSET\r\n");
	if (!smtp_hear(s, s->client->cfg->smtp_rset_timeout, &reply))
		return;
	s->failed = s->failed || reply.code / 100 != 2;
	smtp_reply_free(&reply);
}

/* What makes the message impossible for this server; NULL: nothing. Another host may know SMTPUTF8. */
static const struct dsn *hopeless(const struct smtp_delivery *d, const struct smtp_session *s)
{
	unsigned long long size = d->request->content_size;

	if (s->size_limit > 0 && size > s->size_limit)
		return dsn_make(d->pool, DSN_FAILED, "5.3.4",
			"message size %llu exceeds size limit %llu of server %s", size,
			(unsigned long long)s->size_limit, s->label);
	if (d->utf8 && !(s->features & FEATURE_SMTPUTF8))
		return dsn_make(d->pool, d->last_host ? DSN_FAILED : DSN_DELAYED,
			d->last_host ? "5.6.7" : "4.6.7",
			"SMTPUTF8 is required, but was not offered by host %s", s->label);
	return NULL;
}

static void choose_recipients(struct transaction *t)
{
	struct smtp_delivery *d = t->d;

	t->recipients = pool_alloc(d->pool, d->request->recipient_count * sizeof(*t->recipients) + 1);
	for (size_t i = 0; i < d->request->recipient_count; i++) {
		d->progress[i] = PROGRESS_OPEN;
		if (!agent_decided(d->agent, i))
			t->recipients[t->count++] = i;
	}
}

/* *address: what it is on the wire. */
static bool map_address(struct smtp_delivery *d, const char **address, struct err *err)
{
	struct buf mapped = BUF(ADDRESS_MAX);
	bool ok = smtp_generic_map(d->client, str_c(*address), &mapped, err);

	if (mapped.len)
		*address = pool_strdup(d->pool, buf_cstr(&mapped));
	buf_free(&mapped);
	return ok;
}

static bool choose_addresses(struct transaction *t)
{
	const struct delivery_request *r = t->d->request;
	bool ok = true, generic = t->d->client->generic != NULL;
	struct err err = {""};

	t->sender = r->sender;
	t->addresses = pool_alloc(t->d->pool, r->recipient_count * sizeof(*t->addresses) + 1);
	if (generic && r->sender[0])
		ok = map_address(t->d, &t->sender, &err);
	for (size_t i = 0; ok && i < r->recipient_count; i++) {
		t->addresses[i] = r->recipients[i].address;
		ok = !generic || map_address(t->d, &t->addresses[i], &err);
	}
	if (!ok)
		tables_failed(t->d, t->s, &err);
	return ok;
}

static struct spool_reader *open_content(struct smtp_delivery *d, struct smtp_session *s)
{
	const struct delivery_request *r = d->request;
	struct spool_reader *reader = NULL;
	struct err err = {""};
	enum spool_status status =
		spool_open_content(service_spool(d->client->service), r->queue, &r->qid, &reader, &err);

	if (status == SPOOL_OK)
		return reader;
	log_warning("%s: queue file: %s", r->qid.text, err.text);
	if (status == SPOOL_CORRUPT || status == SPOOL_UNFINISHED)
		d->agent->result.corrupt = true;
	else
		smtp_fail_message(d,
			dsn_make(d->pool, DSN_DELAYED, "4.3.0",
				"mail system error: cannot open the queue file"),
			s);
	return NULL;
}

static bool forward(struct transaction *t)
{
	if (smtp_xforward(t->s, t->d->request))
		return true;
	t->stale = t->s->uses > 1;
	if (!t->stale)
		lost(t, "sending XFORWARD command");
	return false;
}

static enum transaction_end converse(struct transaction *t, struct spool_reader *reader, bool keep)
{
	bool quit = false;

	if (!forward(t) || !envelope(t))
		return t->stale ? TRANSACTION_STALE : TRANSACTION_DONE;
	/* Only the end of the connection ends DATA without a message. */
	if (t->data_open && t->probe)
		t->s->failed = true;
	else if (t->data_open && t->accepted > 0)
		quit = send_message(t, reader, keep);
	else if (t->data_open)
		send_nothing(t);
	else if (!t->s->failed)
		reset(t->s);
	return quit ? TRANSACTION_QUIT : TRANSACTION_DONE;
}

enum transaction_end smtp_transaction(struct smtp_delivery *d, struct smtp_session *s, bool keep)
{
	struct transaction t = {.d = d,
		.s = s,
		.probe = (d->request->flags & ENVELOPE_PROBE) != 0,
		.past_rcpt = strcmp(d->client->cfg->smtp_address_verify_target, "data") == 0,
		.line = BUF(COMMAND_MAX)};
	const struct dsn *problem = hopeless(d, s);
	struct spool_reader *reader = NULL;
	enum transaction_end end;

	if (problem) {
		smtp_fail_message(d, problem, s);
		return TRANSACTION_DONE;
	}
	if (!choose_addresses(&t) || (!t.probe && !(reader = open_content(d, s))))
		return TRANSACTION_DONE;
	s->uses++;
	choose_recipients(&t);
	end = converse(&t, reader, keep);
	buf_free(&t.line);
	spool_reader_free(&reader);
	return end;
}
