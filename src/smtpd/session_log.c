#include "base/log.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

#include "mail/event.h"
#include <ctype.h>

void session_log_connect(const struct session *s)
{
	EVENT_LOG(CONNECT, ev_text("client", s->client.text));
}

void session_log_end(struct session *s)
{
	char where[80], counts[512];

	if (s->protocol_end) {
		snprintf(where, sizeof(where), "%s", s->where);
		if (s->in_content)
			snprintf(where, sizeof(where), "%s (%llu bytes)", s->where,
				(unsigned long long)s->data_bytes);
		EVENT_LOG(LOST, ev_text("qid", session_queue_id(s)), ev_text("what", s->protocol_end),
			ev_text("where", where), ev_text("client", s->client.text));
	}
	command_counts_text(&s->counts, counts, sizeof(counts));
	EVENT_LOG(DISCONNECT, ev_text("client", s->client.text), ev_text("counts", *counts ? counts : NULL));
}

void session_log_refusal(const struct session *s, const char *where, const char *sender,
	const char *recipient, const char *reply)
{
	session_log_action(s, "reject", where, sender, recipient, reply);
}

void session_log_action(const struct session *s, const char *action, const char *where, const char *sender,
	const char *recipient, const char *reply)
{
	EVENT_LOG(REJECT, ev_text("qid", session_queue_id(s)), ev_text("action", action),
		ev_text("where", where), ev_text("client", s->client.text), ev_text("reply", reply),
		ev_address("from", sender), ev_address("to", recipient), ev_text("proto", s->protocol),
		ev_text("helo", s->helo));
}

/* "name[address]" as XFORWARD gave them. */
static const char *forwarded_client(const struct session *s, char *out, size_t size)
{
	const struct forwarded *f = s->forwarded;

	if (!f || (!f->name && !f->address))
		return NULL;
	snprintf(out, size, "%s[%s]", f->name ? f->name : "unknown", f->address ? f->address : "unknown");
	return out;
}

void session_log_client(const struct session *s)
{
	char origin[400];

	EVENT_LOG(CLIENT, ev_text("qid", session_queue_id(s)), ev_text("client", s->client.text),
		ev_text("sasl_method", s->sasl_method), ev_text("sasl_username", s->sasl_username),
		ev_text("sasl_sender", s->tx->options.sasl_sender),
		ev_text("orig_qid", s->forwarded ? s->forwarded->ident : NULL),
		ev_text("orig_client", forwarded_client(s, origin, sizeof(origin))));
}

#define SHOWN_MAX 100 /* bytes of what a client sent against the rules */

/* As in C: no byte of the client's gets into the log that could pass for something else there. */
static void escape(struct buf *out, struct str data)
{
	static const char plain[] = "\a\b\f\n\r\t\v\\", letters[] = "abfnrtv\\";

	for (size_t i = 0; i < data.n; i++) {
		unsigned char c = (unsigned char)data.p[i];
		const char *found = c ? strchr(plain, c) : NULL;

		if (found)
			buf_printf(out, "\\%c", letters[found - plain]);
		else if (isprint(c))
			buf_putc(out, (char)c);
		else
			buf_printf(out, "\\%03o", c);
	}
}

void session_log_pipelining(const struct session *s, const char *where)
{
	struct buf text = BUF(4 * SHOWN_MAX);

	escape(&text, str_first(stream_peek(s->io), SHOWN_MAX));
	log_info("improper command pipelining after %s from %s: %s", where, s->client.text, buf_cstr(&text));
	buf_free(&text);
}

void session_log_non_smtp(const struct session *s, struct str line)
{
	struct buf text = BUF(4 * SHOWN_MAX);

	escape(&text, str_first(line, SHOWN_MAX));
	log_warning("non-SMTP command from %s: %.*s", s->client.text, SHOWN_MAX, buf_cstr(&text));
	buf_free(&text);
}
