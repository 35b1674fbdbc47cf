#include "smtpd/proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/net.h"
#include "base/sys.h"
#include "mail/event.h"
#include "mail/smtp_text.h"
#include "smtpd/proxy_private.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

#define PENDING_MAX 65536
#define DIRECTORY "incoming"

/* Where no host is named, this one is meant. */
static const char *endpoint_of(struct pool *pool, const char *text)
{
	struct str rest = str_c(text);

	if (str_starts(rest, STR("unix:")))
		return pool_strdup(pool, text);
	if (str_starts(rest, STR("inet:")))
		rest = str_from(rest, 5);
	if (str_find(rest, ':') < 0)
		return pool_printf(pool, "inet:127.0.0.1:" STR_FMT, STR_ARG(rest));
	return pool_printf(pool, "inet:%s" STR_FMT, rest.p[0] == ':' ? "127.0.0.1" : "", STR_ARG(rest));
}

bool proxy_options(const char *text, bool *speed_adjust)
{
	struct str rest = str_c(text), word;
	bool good = true;

	*speed_adjust = false;
	while (str_word(&rest, ", \t\r\n", &word)) {
		if (str_is(word, "speed_adjust"))
			*speed_adjust = true;
		else
			good = false;
	}
	return good;
}

struct proxy *proxy_begin(struct session *s)
{
	struct proxy *p = x_alloc(sizeof(*p));

	p->s = s;
	p->pool = s->tx->pool;
	p->endpoint = endpoint_of(p->pool, s->cfg->smtpd_proxy_filter);
	p->file = -1;
	p->pending = BUF(PENDING_MAX);
	p->clean = BUF((size_t)s->cfg->line_length_limit);
	proxy_options(s->cfg->smtpd_proxy_options, &p->late);
	return p;
}

static void proxy_free(struct proxy **pp)
{
	struct proxy *p = *pp;

	proxy_client_end(p);
	sys_close(&p->file);
	buf_free(&p->pending);
	buf_free(&p->clean);
	x_free(pp);
}

void proxy_abort(struct proxy **p)
{
	if (*p)
		proxy_free(p);
}

/* ---- recipients */

static void keep_recipient(struct proxy *p, const char *recipient, const char *said)
{
	if (p->count == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 8;
		const char **grown = pool_alloc(p->pool, cap * sizeof(*grown));

		if (p->count > 0)
			memcpy(grown, p->recipients, p->count * sizeof(*grown));
		p->recipients = grown;
		p->cap = cap;
	}
	if (p->count == 0)
		p->first_recipient = pool_strdup(p->pool, recipient);
	p->recipients[p->count++] = pool_strdup(p->pool, said);
}

static const char *ask_recipient(struct proxy *p, const char *said)
{
	return proxy_client_ask(p, pool_printf(p->pool, "RCPT TO:%s", said), 2);
}

const char *proxy_recipient(struct proxy *p, const char *recipient, const char *said)
{
	const char *refused = NULL;

	if (p->lost)
		return PROXY_TROUBLE;
	if (!p->late) {
		if (!p->io)
			refused = proxy_client_begin(p);
		if (!refused)
			refused = ask_recipient(p, said);
		/* A new connection would know nothing of the recipients before. */
		p->lost = !p->io && p->count > 0;
	}
	if (!refused)
		keep_recipient(p, recipient, said);
	return refused;
}

/* ---- content */

static bool cannot_write(struct proxy *p)
{
	log_warning("write the message for the proxy filter: %s", strerror(errno));
	p->lost = true;
	return false;
}

/* A file without a name: it ends with us. */
static bool open_file(struct proxy *p)
{
	const char *path = pool_printf(p->pool, DIRECTORY "/proxy.%d.%llu", (int)getpid(),
		(unsigned long long)++p->s->server->proxy_files);

	p->file = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return p->file >= 0 && unlink(path) == 0;
}

static bool write_pending(struct proxy *p)
{
	if (p->pending.len > 0 && !sys_write_all(p->file, p->pending.data, p->pending.len))
		return cannot_write(p);
	buf_clear(&p->pending);
	return true;
}

static bool keep_bytes(struct proxy *p, struct str text)
{
	while (text.n > 0) {
		size_t room = PENDING_MAX - p->pending.len, n = text.n < room ? text.n : room;

		buf_str(&p->pending, str_first(text, n));
		text = str_from(text, n);
		if (p->pending.len == PENDING_MAX && !write_pending(p))
			return false;
	}
	return true;
}

static bool pass_bytes(struct proxy *p, struct str text)
{
	if (p->late)
		return keep_bytes(p, text);
	stream_start_request(p->io);
	return smtp_write_content(p->io, text, &p->first_of_line);
}

static const char *begin_content(struct proxy *p)
{
	const char *refused = proxy_client_ask(p, "DATA", 3);

	p->in_content = !refused;
	p->first_of_line = true;
	return refused;
}

const char *proxy_data(struct proxy *p)
{
	const char *refused = NULL;

	if (p->lost)
		return PROXY_TROUBLE;
	if (!p->late)
		refused = begin_content(p);
	else if (!open_file(p)) {
		cannot_write(p);
		refused = PROXY_TROUBLE;
	}
	p->lost = refused != NULL;
	return refused;
}

bool proxy_text(struct proxy *p, struct str lines)
{
	long long limit = p->s->cfg->message_size_limit;

	p->size += lines.n;
	if (limit > 0 && p->size > (uint64_t)limit)
		p->too_big = true;
	return !p->too_big && !p->lost && pass_bytes(p, lines);
}

/* Only CRLF ends a line, here as in the queue. */
bool proxy_line(struct proxy *p, struct str line, bool partial)
{
	if (memchr(line.p, '\r', line.n) || memchr(line.p, '\n', line.n)) {
		buf_clear(&p->clean);
		for (size_t i = 0; i < line.n; i++)
			buf_putc(&p->clean, line.p[i] == '\r' || line.p[i] == '\n' ? ' ' : line.p[i]);
		line = buf_slice(&p->clean);
	}
	return proxy_text(p, line) && (partial || proxy_text(p, STR("\r\n")));
}

/* ---- the end */

static const char *finish(struct proxy *p, const char **text)
{
	stream_start_request(p->io);
	if (!smtp_end_content(p->io, p->first_of_line))
		p->lost = true;
	p->in_content = false;
	return proxy_client_hear(p, NULL, 2, text);
}

static bool send_file(struct proxy *p)
{
	char *buffer = x_alloc(PENDING_MAX);
	bool good = true;
	off_t at = 0;
	ssize_t n;

	while (good && (n = sys_pread_all(p->file, buffer, PENDING_MAX, at)) > 0) {
		stream_start_request(p->io);
		good = smtp_write_content(p->io, (struct str){buffer, (size_t)n}, &p->first_of_line);
		at += n;
	}
	good = good && n == 0;
	x_free(&buffer);
	return good;
}

/* Everything at once: who refuses one recipient refuses the message. */
static const char *replay(struct proxy *p, const char **text)
{
	const char *refused = write_pending(p) ? proxy_client_begin(p) : PROXY_TROUBLE;

	for (size_t i = 0; i < p->count && !refused; i++)
		refused = ask_recipient(p, p->recipients[i]);
	if (!refused)
		refused = begin_content(p);
	if (refused)
		return refused;
	return send_file(p) ? finish(p, text) : PROXY_TROUBLE;
}

static const char *conclude(struct proxy *p, bool *accepted)
{
	const char *refused, *text = "";

	*accepted = false;
	if (p->too_big) {
		log_warning("NOQUEUE: queue file size limit exceeded");
		return "552 5.3.4 Error: message file too big";
	}
	if (p->lost || (!p->late && (!p->io || stream_status(p->io) != STREAM_OK)))
		return PROXY_TROUBLE;
	refused = p->late ? replay(p, &text) : finish(p, &text);
	*accepted = refused == NULL;
	return refused ? refused : text;
}

const char *proxy_end(struct proxy **pp, bool *accepted)
{
	struct proxy *p = *pp;
	struct session *s = p->s;
	const char *reply = conclude(p, accepted);

	EVENT_LOG(PROXY, ev_text("action", *accepted ? "proxy-accept" : "proxy-reject"),
		ev_text("where", AFTER_MESSAGE), ev_text("reply", reply), ev_address("from", s->tx->sender),
		ev_address("to", p->first_recipient), ev_text("proto", s->protocol),
		ev_text("helo", s->helo));
	proxy_free(pp);
	return reply;
}
