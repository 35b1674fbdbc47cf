#include "smtp/smtp_session.h"

#include <stdarg.h>

#include "base/log.h"
#include "smtp/smtp_dialogue.h"
#include "smtp/smtp_notify.h"

#define CUT_SHOWN 30 /* bytes of a line that was too long */

void smtp_say(struct smtp_session *s, const char *fmt, ...)
{
	struct buf line = BUF(8192);
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&line, fmt, ap);
	va_end(ap);
	if (!line.over)
		stream_write(s->stream, line.data, line.len);
	else
		s->failed = true;
	smtp_dialogue_said(s, buf_slice(&line));
	buf_free(&line);
}

void smtp_set_timeout(struct smtp_session *s, int seconds)
{
	stream_set_timeout(s->stream, seconds, s->client->cfg->smtp_per_request_deadline);
	stream_start_request(s->stream);
}

static bool fail(struct smtp_session *s, bool timed_out)
{
	s->failed = true;
	s->timed_out = timed_out;
	return false;
}

/* A stray line while replies are due for several commands puts all of them in doubt. */
static void warn_stray(void *session, struct str line)
{
	struct smtp_session *s = session;
	char address[NET_HOST_MAX];
	struct net_addr peer;

	s->out_of_protocol = true;
	if (!(s->features & FEATURE_PIPELINING) || s->warned_stray)
		return;
	s->warned_stray = true;
	log_warning("%s: non-%s response from %s: " STR_FMT, s->qid, s->client->lmtp ? "LMTP" : "ESMTP",
		s->relay, STR_ARG(str_first(line, 100)));
	if (net_peer(stream_fd(s->stream), &peer))
		log_warning("to prevent loss of mail, turn off command pipelining for %s with the "
			    "%s parameter",
			net_host(&peer, address),
			s->client->lmtp ? "lmtp_discard_lhlo_keyword_address_maps"
					: "smtp_discard_ehlo_keyword_address_maps");
}

static void warn_cut(void *session, struct str line)
{
	const struct smtp_session *s = session;

	log_warning("%s: response longer than %d: " STR_FMT "...", s->relay,
		s->client->cfg->line_length_limit, STR_ARG(str_first(line, CUT_SHOWN)));
}

/* smtp_reply_filter */
static bool filter_line(void *session, struct str line, struct buf *out)
{
	struct smtp_session *s = session;
	struct err err = {""};
	enum table_status status;

	if (!s->client->reply_filter)
		return true;
	status = table_lookup(s->client->reply_filter, line, out, &err);
	if (status == TABLE_FOUND)
		log_info("%s: replacing server reply \"" STR_FMT "\" with \"%s\"", s->relay, STR_ARG(line),
			buf_cstr(out));
	if (status == TABLE_FOUND || status == TABLE_NOT_FOUND)
		return true;
	log_warning("%s: lookup of \"" STR_FMT "\": %s", table_spec(s->client->reply_filter), STR_ARG(line),
		err.text);
	s->table_failed = true;
	return false;
}

bool smtp_hear(struct smtp_session *s, int seconds, struct smtp_reply *reply)
{
	const struct smtp_reply_reader reader = {filter_line, warn_stray, warn_cut, s};
	enum stream_status status;

	*reply = (struct smtp_reply){0};
	if (s->failed)
		return false;
	smtp_set_timeout(s, seconds);
	if (!stream_flush(s->stream) && stream_status(s->stream) == STREAM_TIMEOUT)
		return fail(s, true);
	status = smtp_reply_read(s->stream, (size_t)s->client->cfg->line_length_limit, &reader, reply);
	if (status == STREAM_OK && reply->code != NO_REPLY) {
		s->leaving = s->leaving || reply->code == 421;
		smtp_dialogue_heard(s, reply);
		return true;
	}
	smtp_reply_free(reply);
	return fail(s, status == STREAM_TIMEOUT);
}

struct dsn *smtp_trouble(const struct smtp_session *s, struct pool *pool, const char *doing)
{
	if (s->table_failed)
		return dsn_make(pool, DSN_DELAYED, "4.3.0", "local data error while talking to %s", s->label);
	if (s->timed_out)
		return dsn_make(pool, DSN_DELAYED, "4.4.2", "conversation with %s timed out while %s",
			s->label, doing);
	return dsn_make(pool, DSN_DELAYED, "4.4.2", "lost connection with %s while %s", s->label, doing);
}

void smtp_reply_status(const struct smtp_reply *reply, char out[12])
{
	int class = reply->code / 100;

	if (class != 2 && class != 4 && class != 5)
		snprintf(out, 12, "5.5.0");
	else if (reply->status[0])
		snprintf(out, 12, "%s", reply->status);
	else
		snprintf(out, 12, "%d.0.0", class);
}

struct dsn *smtp_refusal(
	struct smtp_session *s, struct pool *pool, const struct smtp_reply *reply, const char *command)
{
	bool soft = reply->code / 100 == 4, praise = reply->code / 100 == 2;
	char status[12];
	struct dsn *d;

	smtp_notify_judge(s, reply);
	smtp_reply_status(reply, status);
	if (praise)
		snprintf(status, sizeof(status), "5.5.0");
	d = dsn_make(pool, soft ? DSN_DELAYED : DSN_FAILED, status, "%shost %s said: %s (in reply to %s)",
		praise ? "Protocol error: " : "", s->label, reply->text, command);
	d->diag_type = "smtp";
	d->diag_text = pool_strdup(pool, reply->text);
	d->mta_type = "dns";
	d->mta_name = pool_strdup(pool, s->host);
	return d;
}

void smtp_session_end(struct smtp_session **session, bool already_said)
{
	struct smtp_session *s = *session;
	struct smtp_reply reply;

	if (!s)
		return;
	if (!s->failed && !already_said)
		smtp_say(s, "QUIT\r\n");
	if (!s->failed && s->client->cfg->smtp_skip_quit_response) {
		smtp_set_timeout(s, s->client->cfg->smtp_quit_timeout);
		stream_flush(s->stream);
	} else if (smtp_hear(s, s->client->cfg->smtp_quit_timeout, &reply)) {
		smtp_reply_free(&reply);
	}
	smtp_session_free(session);
}

void smtp_session_leave(struct smtp_session **s)
{
	if (*s && !(*s)->failed) {
		stream_set_timeout((*s)->stream, 1, false);
		stream_puts((*s)->stream, "QUIT\r\n");
		stream_flush((*s)->stream);
	}
	smtp_session_free(s);
}
