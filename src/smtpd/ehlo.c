#include "smtpd/ehlo.h"

#include "base/log.h"
#include "smtpd/reply.h"
#include "smtpd/sasl.h"
#include "smtpd/session.h"
#include "smtpd/tls_offer.h"

/* In the order of the log. */
static const struct {
	const char *name;
	unsigned bit;
} keywords[] = {
	{"8BITMIME", EHLO_8BITMIME},
	{"AUTH", EHLO_AUTH},
	{"ETRN", EHLO_ETRN},
	{"PIPELINING", EHLO_PIPELINING},
	{"SIZE", EHLO_SIZE},
	{"VERP", EHLO_XVERP},
	{"XVERP", EHLO_XVERP},
	{"VRFY", EHLO_VRFY},
	{"XCLIENT", EHLO_XCLIENT},
	{"XFORWARD", EHLO_XFORWARD},
	{"ENHANCEDSTATUSCODES", EHLO_STATUS_CODES},
	{"STARTTLS", EHLO_STARTTLS},
	{"DSN", EHLO_DSN},
	{"SMTPUTF8", EHLO_SMTPUTF8},
	{"CHUNKING", EHLO_CHUNKING},
	{"SILENT-DISCARD", EHLO_SILENT_DISCARD},
};

static unsigned keyword_bit(struct str word)
{
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
		if (str_case_is(word, keywords[i].name))
			return keywords[i].bit;
	return 0;
}

unsigned ehlo_parse_keywords(const char *list, void (*unknown)(struct str word))
{
	struct str rest = str_c(list), word;
	unsigned bits = 0, bit;

	while (str_word(&rest, ", \t\r\n", &word)) {
		bit = keyword_bit(word);
		bits |= bit;
		if (!bit && unknown)
			unknown(word);
	}
	return bits;
}

/* false: the table fails, and only the general list is known. */
static bool look_up_hidden(struct session *s)
{
	struct buf value = BUF(4096);
	enum table_status status = TABLE_NOT_FOUND;
	struct err err = {0};

	s->ehlo_hidden = s->server->ehlo_discard;
	s->ehlo_hidden_known = true;
	if (s->server->ehlo_discard_maps)
		status = maps_lookup(s->server->ehlo_discard_maps, str_c(s->client.address), &value, &err);
	if (status == TABLE_FOUND)
		s->ehlo_hidden = ehlo_parse_keywords(buf_cstr(&value), NULL);
	else if (status != TABLE_NOT_FOUND)
		log_warning("%s", err.text);
	buf_free(&value);
	return status == TABLE_FOUND || status == TABLE_NOT_FOUND;
}

static void log_hidden(unsigned bits)
{
	struct buf text = BUF(400);
	unsigned done = EHLO_SILENT_DISCARD;

	if ((bits & EHLO_SILENT_DISCARD) || !bits)
		return;
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
		if ((bits & keywords[i].bit) && !(done & keywords[i].bit))
			buf_printf(&text, " %s", keywords[i].name);
		done |= keywords[i].bit;
	}
	log_info("discarding EHLO keywords:%s", buf_cstr(&text));
	buf_free(&text);
}

unsigned ehlo_hidden(struct session *s)
{
	if (!s->ehlo_hidden_known)
		look_up_hidden(s);
	return s->ehlo_hidden;
}

bool ehlo_auth_offered(struct session *s)
{
	if (!s->server->sasl || (ehlo_hidden(s) & EHLO_AUTH))
		return false;
	if (!s->tls && (s->cfg->smtpd_tls_auth_only || s->server->tls_level == TLS_REQUIRED))
		return false;
	return !session_client_in(s, &s->server->sasl_exceptions);
}

/* The reply's lines are collected so that the last one is known. */
static void offer(struct buf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void offer(struct buf *out, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(out, fmt, ap);
	va_end(ap);
	buf_putc(out, '\n');
}

static void offer_auth(struct session *s, struct buf *out)
{
	const char *mechanisms;

	if (!ehlo_auth_offered(s))
		return;
	mechanisms = sasl_offered_mechanisms(s);
	if (!mechanisms || !*mechanisms)
		return;
	offer(out, "AUTH %s", mechanisms);
	if (s->cfg->broken_sasl_auth_clients)
		offer(out, "AUTH=%s", mechanisms);
}

static void offer_size(struct session *s, struct buf *out)
{
	if (s->cfg->message_size_limit > 0)
		offer(out, "SIZE %lld", (long long)s->cfg->message_size_limit);
	else
		offer(out, "SIZE");
}

static void offer_all(struct session *s, unsigned shown, struct buf *out)
{
	if (shown & EHLO_PIPELINING)
		offer(out, "PIPELINING");
	if (shown & EHLO_SIZE)
		offer_size(s, out);
	if ((shown & EHLO_VRFY) && !s->cfg->disable_vrfy_command)
		offer(out, "VRFY");
	if (shown & EHLO_ETRN)
		offer(out, "ETRN");
	if ((shown & EHLO_STARTTLS) && tls_can_start(s))
		offer(out, "STARTTLS");
	offer_auth(s, out);
	if ((shown & EHLO_XVERP) && session_client_in(s, &s->server->verp_clients))
		offer(out, "XVERP");
	if ((shown & EHLO_XCLIENT) && session_client_in(s, &s->server->xclient_hosts))
		offer(out, "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT");
	if ((shown & EHLO_XFORWARD) && s->may_xforward)
		offer(out, "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT");
	if (shown & EHLO_STATUS_CODES)
		offer(out, "ENHANCEDSTATUSCODES");
	if (shown & EHLO_8BITMIME)
		offer(out, "8BITMIME");
	if (shown & EHLO_DSN)
		offer(out, "DSN");
	if ((shown & EHLO_SMTPUTF8) && s->cfg->smtputf8_enable)
		offer(out, "SMTPUTF8");
	if (shown & EHLO_CHUNKING)
		offer(out, "CHUNKING");
}

bool ehlo_reply(struct session *s, bool reduced)
{
	struct buf lines = BUF(4096);
	struct str rest, line;

	if (!s->ehlo_hidden_known && !look_up_hidden(s)) {
		reply(s, "421 4.3.0 %s Server local data error", s->cfg->myhostname);
		return false;
	}
	log_hidden(ehlo_hidden(s));
	offer(&lines, "%s", s->cfg->myhostname);
	offer_all(s, (reduced ? EHLO_STATUS_CODES : ~0U) & ~ehlo_hidden(s), &lines);
	rest = buf_slice(&lines);
	while (str_word(&rest, "\n", &line))
		reply_line(s, 250, rest.n > 1, line);
	buf_free(&lines);
	return true;
}
