#include "base/clock.h"
#include "base/log.h"
#include "bounce/bounce.h"
#include "mail/event.h"
#include "mail/received.h"
#include "pickup/pickup.h"
#include "spool/spool_lines.h"

#define RECEIVED_MAX 8192
#define TEXT_MAX 512

struct intake {
	const struct pickup_env *env;
	const struct queue_id *id; /* in maildrop */
	struct pool *pool;
	struct envelope *e;
	struct cleanup *c;
};

/* postsuper -r: was in the queue before, under this id. */
static bool is_requeued(const struct intake *in)
{
	return (in->e->flags & ENVELOPE_REQUEUED) != 0;
}

static int user_id(const struct envelope *e)
{
	const char *text = envelope_attribute(e, "uid");
	uint64_t uid;

	return text && str_to_u64(str_c(text), INT32_MAX, &uid) ? (int)uid : -1;
}

static void log_intake(const struct intake *in)
{
	EVENT_LOG(PICKUP, ev_text("qid", cleanup_id(in->c)->text), ev_int("uid", user_id(in->e)),
		ev_address("from", in->e->sender),
		ev_text("orig_qid", is_requeued(in) ? in->id->text : NULL));
}

static void write_received(const struct intake *in)
{
	const struct config *cfg = in->env->cfg;
	struct buf out = BUF(RECEIVED_MAX);
	struct received r = {
		.my_name = cfg->myhostname,
		.mail_name = cfg->mail_name,
		.queue_id = cleanup_id(in->c)->text,
		.uid = user_id(in->e),
		.when_us = cleanup_time(in->c),
	};

	received_format(&r, &out);
	cleanup_prepend(in->c, buf_slice(&out));
	buf_free(&out);
}

/* What comes from the queue keeps what is known of it, but for the content filter: that is decided anew. */
static int envelope_flags(const struct intake *in)
{
	const int told = ENVELOPE_PROBE | ENVELOPE_REPORT;
	const int kept = ENVELOPE_SMTPUTF8 | ENVELOPE_INTERNAL | ENVELOPE_LOCAL | told;

	return is_requeued(in) ? in->e->flags & kept : ENVELOPE_LOCAL | (in->e->flags & told);
}

static void write_envelope(const struct intake *in)
{
	const struct envelope *e = in->e;

	cleanup_sender(in->c, e->sender, e->envid, e->ret, envelope_flags(in));
	for (size_t i = 0; i < e->attribute_count; i++)
		if (strcmp(e->attributes[i].name, "content_filter") != 0)
			cleanup_attribute(in->c, e->attributes[i].name, e->attributes[i].value);
	for (size_t i = 0; i < e->recipient_count; i++) {
		const struct spool_recipient *r = &e->recipients[i];

		if (r->state != RECIPIENT_DONE)
			cleanup_recipient(in->c, r->address, r->original, r->orcpt, r->notify);
	}
}

/* The rewriting context is that of the first time. */
static bool is_local_context(const struct intake *in)
{
	const char *context = envelope_attribute(in->e, "rewrite_context");

	return !context || strcmp(context, "local") == 0;
}

/* Pieces of at most line_length_limit, as the SMTP server gives them. */
static bool write_line(const struct intake *in, struct str piece, bool whole)
{
	const int limit = in->env->cfg->line_length_limit;
	const size_t most = limit > 0 ? (size_t)limit : LINES_PIECE;

	while (piece.n > most) {
		if (!cleanup_line(in->c, str_first(piece, most), true))
			return false;
		piece = str_from(piece, most);
	}
	return cleanup_line(in->c, piece, !whole);
}

/* A refused line is no end of reading: cleanup says at its end what was wrong. */
static enum spool_status write_content(const struct intake *in, struct err *err)
{
	enum lines_result kind = LINES_LINE;
	struct spool_reader *reader = NULL;
	enum spool_status status = spool_open_content(in->env->spool, QUEUE_MAILDROP, in->id, &reader, err);
	struct spool_lines l;
	struct str piece;

	if (status != SPOOL_OK)
		return status;
	spool_lines_begin(&l, reader);
	while ((status = spool_lines_next(&l, &piece, &kind, err)) == SPOOL_OK && kind != LINES_END) {
		if (!write_line(in, piece, kind != LINES_PART))
			break;
	}
	spool_lines_free(&l);
	spool_reader_free(&reader);
	return status;
}

static enum pickup_result remove_message(const struct intake *in)
{
	struct err err = {""};

	if (spool_remove(in->env->spool, QUEUE_MAILDROP, in->id, &err))
		return PICKUP_TAKEN;
	log_warning("remove maildrop file %s: %s", in->id->text, err.text);
	return PICKUP_STOP;
}

static void log_refused(const struct intake *in, const char *id, const struct spool_recipient *rcpt)
{
	const int64_t now = clock_real(), delay = now > in->e->arrival_us ? now - in->e->arrival_us : 0;
	char seconds[24], delays[32];

	snprintf(delays, sizeof(delays), "%s/0/0/0", event_format_seconds(delay, seconds, sizeof(seconds)));
	EVENT_LOG(DELIVERY_REFUSED, ev_text("qid", id), ev_address("to", rcpt->address),
		ev_seconds("delay", delay), ev_text("delays", delays), ev_text("dsn", rcpt->last->status),
		ev_text("text", rcpt->last->reason));
}

/* The sender of a message that may not enter the queue gets it back. id: what it would have had there. */
static enum pickup_result return_message(
	const struct intake *in, const struct queue_id *id, const char *status, const char *text)
{
	const struct bounce_env env = {
		in->env->cfg, in->env->cleanup, in->env->spool, NULL, in->env->reports, id};
	uint32_t *indexes = pool_alloc(in->pool, (in->e->recipient_count + 1) * sizeof(*indexes));
	struct queue_id report = {""};
	struct err err = {""};

	for (size_t i = 0; i < in->e->recipient_count; i++) {
		in->e->recipients[i].last = dsn_make(in->pool, DSN_FAILED, status, "%s", text);
		indexes[i] = (uint32_t)i;
		log_refused(in, id->text, &in->e->recipients[i]);
	}
	if (!bounce_send(&env, BOUNCE_FAILURE, QUEUE_MAILDROP, in->e, indexes, in->e->recipient_count,
		    &report, &err)) {
		log_warning("%s: cannot return the message: %s", in->id->text, err.text);
		return PICKUP_LATER;
	}
	return remove_message(in);
}

static enum pickup_result finish(struct intake *in)
{
	const struct queue_id id = *cleanup_id(in->c);
	struct cleanup_result result;
	char text[TEXT_MAX], *reason = text;

	cleanup_end(&in->c, &result, text, sizeof(text));
	switch (result.status) {
	case CLEANUP_OK:
		return remove_message(in);
	case CLEANUP_NO_SPACE:
	case CLEANUP_TROUBLE:
		log_warning("%s: %s", in->id->text, text);
		return PICKUP_STOP;
	default:
		break;
	}
	if (str_starts(str_c(text), STR("Error: ")))
		reason += strlen("Error: ");
	if (result.dsn[0] != '4')
		return return_message(in, &id, result.dsn, reason);
	log_warning("%s: %s", in->id->text, text);
	return PICKUP_LATER;
}

/* A file that is no message may have been one: it is kept for the operator. */
static enum pickup_result set_aside(
	const struct pickup_env *env, const struct queue_id *id, const struct err *why)
{
	struct err err = {""};

	log_warning("maildrop file %s is moved to the corrupt queue: %s", id->text, why->text);
	if (spool_move(env->spool, QUEUE_MAILDROP, QUEUE_CORRUPT, id, &err))
		return PICKUP_TAKEN;
	log_warning("%s", err.text);
	return PICKUP_LATER;
}

static bool all_done(const struct envelope *e)
{
	for (size_t i = 0; i < e->recipient_count; i++)
		if (e->recipients[i].state != RECIPIENT_DONE)
			return false;
	return e->recipient_count > 0;
}

static enum pickup_result take_over(struct intake *in)
{
	const struct cleanup_options options = {.local_rewrite = is_local_context(in),
		.origin = is_requeued(in) ? NULL : "sendmail",
		.queue = QUEUE_INCOMING,
		.client = "local",
		.no_session = true,
		.arrival_us = in->e->arrival_us};
	struct err err = {""};
	enum spool_status status;

	in->c = cleanup_begin(in->env->cleanup, &options, &err);
	if (!in->c) {
		log_warning("%s: %s", in->id->text, err.text);
		return PICKUP_STOP;
	}
	log_intake(in);
	write_envelope(in);
	write_received(in);
	status = write_content(in, &err);
	if (status == SPOOL_OK)
		return finish(in);
	cleanup_abort(&in->c);
	if (status == SPOOL_CORRUPT)
		return set_aside(in->env, in->id, &err);
	log_warning("maildrop file %s: %s", in->id->text, err.text);
	return PICKUP_LATER;
}

enum pickup_result pickup_message(const struct pickup_env *env, const struct queue_id *id)
{
	struct intake in = {.env = env, .id = id, .pool = pool_new(4096)};
	enum pickup_result result = PICKUP_LATER;
	struct err err = {""};

	switch (spool_load(env->spool, QUEUE_MAILDROP, id, in.pool, &in.e, &err)) {
	case SPOOL_OK:
		result = all_done(in.e) ? remove_message(&in) : take_over(&in);
		break;
	case SPOOL_CORRUPT:
		result = set_aside(env, id, &err);
		break;
	case SPOOL_TROUBLE:
		log_warning("maildrop file %s: %s", id->text, err.text);
		break;
	default:
		break;
	}
	pool_free(&in.pool);
	return result;
}
