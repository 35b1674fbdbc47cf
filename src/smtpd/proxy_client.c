#include "base/clock.h"
#include "base/log.h"
#include "mail/address.h"
#include "mail/smtp_text.h"
#include "smtpd/proxy_private.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

#define REPLY_LINE_MAX 2048
#define COMMAND_MAX 500 /* bytes of an XFORWARD command (RFC 5321 section 4.5.3.1.4) */

/* What one XFORWARD attribute says; value NULL: unknown. */
struct attribute {
	const char *name, *value;
};

static const char *shown(const struct proxy *p)
{
	const char *colon = strchr(p->endpoint, ':');

	return colon ? colon + 1 : p->endpoint;
}

static const char *lost(struct proxy *p)
{
	const char *how =
		stream_status(p->io) == STREAM_TIMEOUT ? "timeout talking to" : "lost connection with";

	log_warning("%s proxy %s", how, shown(p));
	stream_free(&p->io);
	return PROXY_TROUBLE;
}

/* The lines of a reply as they go to the client. */
static const char *reply_text(struct proxy *p, const struct smtp_reply *reply)
{
	struct buf out = BUF(65536);
	const char *text;

	for (const char *c = reply->text; *c; c++)
		if (*c == '\n')
			buf_puts(&out, "\r\n");
		else
			buf_putc(&out, *c);
	text = pool_strdup(p->pool, buf_cstr(&out));
	buf_free(&out);
	return text;
}

const char *proxy_client_hear(struct proxy *p, const char *after, int wanted, const char **text)
{
	struct smtp_reply reply;
	int kind;

	stream_start_request(p->io);
	if (smtp_reply_read(p->io, REPLY_LINE_MAX, NULL, &reply) != STREAM_OK) {
		smtp_reply_free(&reply);
		return lost(p);
	}
	*text = reply.text ? reply_text(p, &reply) : "";
	kind = reply.code / 100;
	smtp_reply_free(&reply);
	if (kind == wanted)
		return NULL;
	if (after)
		log_warning("proxy %s rejected \"%s\": \"%s\"", shown(p), after, *text);
	/* What is no refusal is no sense. */
	return kind == 4 || kind == 5 ? *text : PROXY_TROUBLE;
}

const char *proxy_client_ask(struct proxy *p, const char *command, int wanted)
{
	const char *text;

	stream_start_request(p->io);
	stream_puts(p->io, command);
	stream_puts(p->io, "\r\n");
	return stream_flush(p->io) ? proxy_client_hear(p, command, wanted, &text) : lost(p);
}

/* ---- XFORWARD */

/* The list after the keyword in the answer to EHLO; NULL: it is not offered. */
static const char *offered(struct proxy *p, const char *answer)
{
	struct str rest = str_c(answer), line;

	while (str_word(&rest, "\r\n", &line))
		if (str_case_starts(str_from(line, 4), STR("XFORWARD ")))
			return pool_strndup(p->pool, line.p + 13, line.n - 13);
	return NULL;
}

static bool is_offered(const char *list, const char *name)
{
	struct str rest = str_c(list), word;

	while (str_word(&rest, " ", &word))
		if (str_case_is(word, name))
			return true;
	return false;
}

static void add_attribute(struct buf *command, const struct attribute *a)
{
	buf_printf(command, " %s=", a->name);
	if (!a->value || !*a->value)
		buf_puts(command, "[UNAVAILABLE]");
	else
		xtext_encode(str_c(a->value), command);
}

static const char *send_attributes(
	struct proxy *p, const struct attribute *attributes, size_t count, const char *list)
{
	struct buf command = BUF(8192), one = BUF(4096);
	const char *refused = NULL;

	for (size_t i = 0; i < count && !refused; i++) {
		if (!is_offered(list, attributes[i].name))
			continue;
		buf_clear(&one);
		add_attribute(&one, &attributes[i]);
		if (command.len > 0 && command.len + one.len > COMMAND_MAX) {
			refused = proxy_client_ask(p, buf_cstr(&command), 2);
			buf_clear(&command);
		}
		if (command.len == 0)
			buf_puts(&command, "XFORWARD");
		buf_str(&command, buf_slice(&one));
	}
	if (command.len > 0 && !refused)
		refused = proxy_client_ask(p, buf_cstr(&command), 2);
	buf_free(&command);
	buf_free(&one);
	return refused;
}

static const char *known(const char *text)
{
	return text && strcmp(text, "unknown") != 0 ? text : NULL;
}

static const char *or_else(const char *text, const char *otherwise)
{
	return text ? text : otherwise;
}

/* Who the message is from: for filters that tell us, the client behind them. */
static const char *tell_of_client(struct proxy *p, const char *list)
{
	struct session *s = p->s;
	const struct forwarded none = {0}, *f = s->forwarded ? s->forwarded : &none;
	bool local = s->forwarded ? s->forwarded->local : access_local_rewrite(s);
	const char *port = s->client.port ? pool_printf(p->pool, "%d", s->client.port) : NULL;
	const struct attribute attributes[] = {
		{"NAME", or_else(f->name, known(s->client.name))},
		{"ADDR", or_else(f->address, known(s->client.address))},
		{"PORT", or_else(f->port, port)},
		{"HELO", or_else(f->helo, s->helo)},
		{"IDENT", f->ident},
		{"PROTO", or_else(f->protocol, s->protocol)},
		{"SOURCE", local ? "LOCAL" : "REMOTE"},
	};

	return send_attributes(p, attributes, sizeof(attributes) / sizeof(attributes[0]), list);
}

/* ---- beginning and end */

static bool open_connection(struct proxy *p)
{
	int timeout = p->s->cfg->smtpd_proxy_timeout;
	struct err err = {""};
	int fd = net_connect_endpoint(p->endpoint, deadline_in(timeout), &err);

	if (fd < 0) {
		log_warning("connect to proxy filter %s: %s", shown(p), err.text);
		return false;
	}
	p->io = stream_new(fd);
	stream_set_timeout(p->io, timeout, true);
	return true;
}

static const char *greet(struct proxy *p)
{
	const char *ehlo = pool_printf(p->pool, "EHLO %s", p->s->cfg->smtpd_proxy_ehlo);
	const char *text, *list, *refused = proxy_client_hear(p, "connect", 2, &text);

	if (refused)
		return PROXY_TROUBLE;
	stream_puts(p->io, ehlo);
	stream_puts(p->io, "\r\n");
	if (proxy_client_hear(p, ehlo, 2, &text))
		return PROXY_TROUBLE;
	list = offered(p, text);
	return list && tell_of_client(p, list) ? PROXY_TROUBLE : NULL;
}

const char *proxy_client_begin(struct proxy *p)
{
	const char *refused;

	if (!open_connection(p))
		return PROXY_TROUBLE;
	refused = greet(p);
	if (!refused)
		refused = proxy_client_ask(p, pool_printf(p->pool, "MAIL FROM:%s", p->s->tx->said), 2);
	if (refused)
		proxy_client_end(p);
	return refused;
}

void proxy_client_end(struct proxy *p)
{
	if (p->io && stream_status(p->io) == STREAM_OK && !p->in_content) {
		stream_start_request(p->io);
		stream_puts(p->io, "QUIT\r\n");
		stream_flush(p->io);
	}
	stream_free(&p->io);
}
