#include "smtpd/reply.h"

#include "base/log.h"
#include "base/utf8.h"
#include "mail/dsn.h"
#include "smtpd/dialogue.h"
#include "smtpd/session.h"
#include <ctype.h>

#define REPLY_MAX 2000 /* bytes of one reply line */

/* Control bytes become blanks, and so does what is not text in the character set in use. */
static void make_printable(const struct session *s, char *text)
{
	utf8_hide_controls(text, strlen(text), ' ');
	if (s->cfg->smtputf8_enable)
		return;
	for (unsigned char *p = (unsigned char *)text; *p; p++)
		if (*p >= 0x80)
			*p = ' ';
}

/* "550 5.1.1 ..." becomes "450 4.1.1 ...". */
static void soften(char *text)
{
	if (text[0] != '5')
		return;
	text[0] = '4';
	if (dsn_status_length(str_c(text + 4)) > 0)
		text[4] = '4';
}

static void make_sendable(const struct session *s, char *text)
{
	make_printable(s, text);
	if (s->cfg->soft_bounce)
		soften(text);
}

struct footer_names {
	const struct session *session;
	char port[8], time[24], server_port[8];
	char server[NET_HOST_MAX];
};

static const char *footer_name(void *arg, const char *name)
{
	struct footer_names *names = arg;
	const struct session *s = names->session;
	const struct {
		const char *name, *value;
	} known[] = {
		{"client", s->client.text},
		{"client_name", s->client.name},
		{"client_address", s->client.address},
		{"client_port", names->port},
		{"helo_name", s->helo},
		{"localtime", names->time},
		{"server_address", names->server},
		{"server_name", s->cfg->myhostname},
		{"server_port", names->server_port},
		{"sender", ""},
		{"recipient", ""},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].name, name) == 0)
			return known[i].value ? known[i].value : "";
	return NULL;
}

static char *footer_expand(struct session *s, const char *template)
{
	struct footer_names names = {.session = s};
	const struct net_addr *local = session_local(s);
	time_t now = time(NULL);
	struct tm tm;

	snprintf(names.port, sizeof(names.port), "%d", s->client.port);
	if (local) {
		net_host(local, names.server);
		snprintf(names.server_port, sizeof(names.server_port), "%d", net_port(local));
	}
	if (localtime_r(&now, &tm))
		strftime(names.time, sizeof(names.time), "%b %d %H:%M:%S", &tm);
	return config_expand(s->cfg, template, footer_name, &names);
}

/* The template for this reply, in a buffer of the caller; false: none. */
static bool footer_template(struct session *s, const char *text, struct buf *out)
{
	struct err err = {0};

	if (s->server->reject_footers &&
		maps_lookup(s->server->reject_footers, str_c(text), out, &err) == TABLE_FOUND)
		return out->len > 0;
	return *s->cfg->smtpd_reject_footer && buf_puts(out, s->cfg->smtpd_reject_footer);
}

/* Writes one line of a multi-line reply; "code-status " is taken from the head of text. */
static void write_line(struct session *s, const char *head, size_t head_n, struct str line, bool last)
{
	stream_write(s->io, head, 3);
	stream_write(s->io, last ? " " : "-", 1);
	stream_write(s->io, head + 4, head_n - 4);
	stream_write(s->io, line.p, line.n);
	stream_write(s->io, "\r\n", 2);
}

static struct str next_footer_line(struct str *rest)
{
	for (size_t i = 0; i + 1 < rest->n; i++) {
		if (rest->p[i] == '\\' && rest->p[i + 1] == 'n') {
			struct str line = str_first(*rest, i);

			*rest = str_from(*rest, i + 2);
			return line;
		}
	}
	struct str line = *rest;
	*rest = (struct str){NULL, 0};
	return line;
}

/* The reply with the footer's lines after it; "\c" at the footer's start continues the reply's own line. */
static void write_with_footer(struct session *s, const char *text, const char *footer)
{
	size_t status = dsn_status_length(str_c(text + 4)), head = status ? 4 + status + 1 : 4;
	struct str rest = str_c(footer);
	struct buf first = BUF(REPLY_MAX * 2);

	if (head > strlen(text))
		head = 4;
	buf_puts(&first, text + head);
	if (str_starts(rest, STR("\\c"))) {
		rest = str_from(rest, 2);
		buf_str(&first, next_footer_line(&rest));
	}
	write_line(s, text, head, buf_slice(&first), rest.n == 0);
	while (rest.n > 0) {
		struct str line = next_footer_line(&rest);

		write_line(s, text, head, line, rest.n == 0);
	}
	buf_free(&first);
}

static bool write_footer(struct session *s, const char *text)
{
	struct buf template = BUF(REPLY_MAX);
	char *footer;

	if (!*s->cfg->smtpd_reject_footer && !s->server->reject_footers)
		return false;
	if (!footer_template(s, text, &template)) {
		buf_free(&template);
		return false;
	}
	footer = footer_expand(s, buf_cstr(&template));
	make_printable(s, footer);
	write_with_footer(s, text, footer);
	x_free(&footer);
	buf_free(&template);
	return true;
}

/* 4xx or 5xx, a blank, and an enhanced status of the same class where there is one. */
static bool is_refusal(struct str text)
{
	uint64_t code;

	return text.n > 4 && text.n < REPLY_MAX && text.p[3] == ' ' &&
	       str_to_u64(str_first(text, 3), 599, &code) && code >= 400 &&
	       (dsn_status_length(str_from(text, 4)) == 0 || text.p[4] == text.p[0]);
}

/* smtpd_reject_filter_maps: another refusal in place of this one. */
static void replace_refusal(struct session *s, char *text)
{
	struct buf other = BUF(TABLE_VALUE_MAX);
	struct err err = {0};
	enum table_status status;

	if (!s->server->reject_filter || !is_refusal(str_c(text)))
		return;
	status = maps_lookup(s->server->reject_filter, str_c(text), &other, &err);
	if (status == TABLE_FOUND && is_refusal(buf_slice(&other))) {
		memcpy(text, buf_cstr(&other), other.len + 1);
		make_sendable(s, text);
	} else if (status == TABLE_FOUND) {
		log_warning(
			"smtpd_reject_filter_maps: no refusal: \"%s\", for \"%s\"", buf_cstr(&other), text);
	} else if (status != TABLE_NOT_FOUND) {
		log_warning("smtpd_reject_filter_maps: %s: %s", text, err.text);
	}
	buf_free(&other);
}

static void hold_back(struct session *s)
{
	if (s->errors >= s->cfg->smtpd_soft_error_limit && s->cfg->smtpd_error_sleep_time > 0 &&
		s->penalty_until == 0)
		s->penalty_until = deadline_in(s->cfg->smtpd_error_sleep_time);
}

void reply(struct session *s, const char *fmt, ...)
{
	char text[REPLY_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 4)
		return;
	make_sendable(s, text);
	replace_refusal(s, text);
	hold_back(s);
	dialogue_said(s, str_c(text));
	if ((text[0] != '4' && text[0] != '5') || !write_footer(s, text)) {
		stream_puts(s->io, text);
		stream_write(s->io, "\r\n", 2);
	}
	if (strncmp(text, "421", 3) == 0 || strncmp(text, "521", 3) == 0)
		s->hangup = true;
}

/* A line of a reply, with no footer after it. */
static void write_plain(struct session *s, const char *line)
{
	dialogue_said(s, str_c(line));
	stream_puts(s->io, line);
	stream_write(s->io, "\r\n", 2);
}

void reply_line(struct session *s, int code, bool more, struct str text)
{
	char line[REPLY_MAX];

	snprintf(line, sizeof(line), "%d%c" STR_FMT, code, more ? '-' : ' ', STR_ARG(text));
	write_plain(s, line);
}

void reply_lines(struct session *s, const char *lines)
{
	struct str rest = str_c(lines);
	const char *end;

	while ((end = memmem(rest.p, rest.n, "\r\n", 2)) != NULL) {
		char *line = pool_strndup(session_scratch(s), rest.p, (size_t)(end - rest.p));

		make_sendable(s, line);
		write_plain(s, line);
		rest = str_from(rest, (size_t)(end - rest.p) + 2);
	}
	reply(s, STR_FMT, STR_ARG(rest));
}

const char *refusal_text(struct session *s, const struct refusal *r)
{
	char *text = pool_printf(
		session_scratch(s), "%d %s%s%s", r->code, r->status, r->status[0] ? " " : "", r->text);

	make_sendable(s, text);
	return text;
}

void reply_refusal(struct session *s, const struct refusal *r)
{
	reply(s, "%s", refusal_text(s, r));
}
