#include "smtpd/filters.h"

#include "base/log.h"
#include "base/mem.h"
#include "mail/address.h"
#include "milter/milter.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

#define WORDS_MAX 64 /* of one command */

struct filters {
	struct milters *milters;
	struct milter_set *own;	       /* smtpd_milter_maps: for this client only */
	struct buf value;	       /* of the macro that was asked for last */
	const char *recipient;	       /* the one that is decided about; NULL otherwise */
	const struct refusal *refusal; /* of it, by ourselves */
};

/* ---- macros */

static const char *keep(struct filters *f, const char *text)
{
	buf_clear(&f->value);
	buf_puts(&f->value, text);
	return buf_cstr(&f->value);
}

static const char *keep_number(struct filters *f, long n)
{
	buf_clear(&f->value);
	buf_printf(&f->value, "%ld", n);
	return buf_cstr(&f->value);
}

static const char *keep_address(struct filters *f, const char *internal)
{
	buf_clear(&f->value);
	address_quote(str_c(internal), &f->value);
	return buf_cstr(&f->value);
}

static const char *client_macro(struct session *s, const char *name)
{
	const struct client *c = &s->client;
	struct filters *f = s->filters;

	if (strcmp(name, "{client_addr}") == 0)
		return c->address;
	if (strcmp(name, "{client_name}") == 0)
		return c->name;
	if (strcmp(name, "{client_ptr}") == 0)
		return c->reverse_name;
	if (strcmp(name, "{client_port}") == 0)
		return keep_number(f, c->port);
	if (strcmp(name, "{client_connections}") == 0)
		return keep_number(f, (long)s->connections);
	if (strcmp(name, "_") != 0)
		return NULL;
	buf_clear(&f->value);
	buf_printf(&f->value, "%s [%s]", c->name, c->address);
	return buf_cstr(&f->value);
}

static const char *own_macro(struct session *s, const char *name)
{
	const struct net_addr *local = session_local(s);
	char host[NET_HOST_MAX];

	if (strcmp(name, "i") == 0)
		return s->tx && s->tx->message ? message_id(s->tx->message)->text : NULL;
	if (local && strcmp(name, "{daemon_addr}") == 0)
		return keep(s->filters, net_host(local, host));
	if (local && strcmp(name, "{daemon_port}") == 0)
		return keep_number(s->filters, net_port(local));
	return NULL;
}

static const char *tls_macro(struct session *s, const char *name)
{
	const struct tls_info *info = s->tls ? tls_session_info(s->io) : NULL;

	if (!info)
		return NULL;
	if (strcmp(name, "{tls_version}") == 0)
		return info->protocol;
	if (strcmp(name, "{cipher}") == 0)
		return info->cipher;
	if (strcmp(name, "{cipher_bits}") == 0)
		return keep_number(s->filters, info->bits);
	if (!info->peer_certificate)
		return NULL;
	if (strcmp(name, "{cert_subject}") == 0)
		return info->peer_name;
	return strcmp(name, "{cert_issuer}") == 0 ? info->peer_issuer : NULL;
}

static const char *login_macro(struct session *s, const char *name)
{
	if (strcmp(name, "{auth_authen}") == 0)
		return s->sasl_username;
	if (strcmp(name, "{auth_type}") == 0)
		return s->sasl_method;
	return strcmp(name, "{auth_author}") == 0 ? session_sasl_sender(s) : NULL;
}

/* As it will be in the queue. */
static const char *address_macro(struct session *s, const char *address)
{
	struct buf canonical = BUF(2 * ADDRESS_MAX);
	const char *value = "";

	if (*address) {
		rewrite_address(s->server->resolver, true, str_c(address), &canonical);
		value = keep_address(s->filters, buf_cstr(&canonical));
	}
	buf_free(&canonical);
	return value;
}

/* Where mail for the address goes. */
static const char *route_macro(struct session *s, const char *address, bool host)
{
	struct resolved to = {0};
	struct err err = {0};

	if (resolve_address(s->server->resolver, "", address, session_scratch(s), &to, &err) != TABLE_FOUND)
		return NULL;
	return host ? to.nexthop : to.transport;
}

static const char *sender_macro(struct session *s, const char *name)
{
	if (!s->tx)
		return NULL;
	if (strcmp(name, "{mail_addr}") == 0)
		return address_macro(s, s->tx->sender);
	if (strcmp(name, "{mail_host}") == 0)
		return route_macro(s, s->tx->sender, true);
	return strcmp(name, "{mail_mailer}") == 0 ? route_macro(s, s->tx->sender, false) : NULL;
}

/* Of a recipient that was refused: how, in the words of Sendmail's macros. */
static const char *refusal_macro(const struct refusal *refusal, const char *name)
{
	if (strcmp(name, "{rcpt_addr}") == 0)
		return refusal->text;
	if (strcmp(name, "{rcpt_host}") == 0)
		return refusal->status;
	return strcmp(name, "{rcpt_mailer}") == 0 ? "error" : NULL;
}

static const char *recipient_macro(struct session *s, const char *name)
{
	const struct filters *f = s->filters;

	if (f->refusal)
		return refusal_macro(f->refusal, name);
	if (!f->recipient)
		return NULL;
	if (strcmp(name, "{rcpt_addr}") == 0)
		return address_macro(s, f->recipient);
	if (strcmp(name, "{rcpt_host}") == 0)
		return route_macro(s, f->recipient, true);
	return strcmp(name, "{rcpt_mailer}") == 0 ? route_macro(s, f->recipient, false) : NULL;
}

static const char *macro(void *arg, const char *name)
{
	static const char *(*const groups[])(struct session * s, const char *name) = {
		own_macro, client_macro, sender_macro, recipient_macro, tls_macro, login_macro};
	const char *value = NULL;

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]) && !value; i++)
		value = groups[i](arg, name);
	return value;
}

/* ---- which filters */

/* An entry for the client's address takes the place of smtpd_milters. false: there is none. */
static bool set_of_client(struct session *s, struct milter_set **out)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct err err = {0};
	enum table_status status = TABLE_NOT_FOUND;

	if (s->server->milter_maps)
		status = maps_lookup(s->server->milter_maps, str_c(s->client.address), &value, &err);
	if (status == TABLE_FOUND)
		*out = milter_set_new(
			s->cfg, str_case_is(str_trim(buf_slice(&value)), "DISABLE") ? "" : buf_cstr(&value));
	else if (status != TABLE_NOT_FOUND)
		log_warning("smtpd_milter_maps: %s", err.text);
	buf_free(&value);
	return status == TABLE_FOUND;
}

static bool begin(struct session *s)
{
	const struct milter_host host = {s, macro, log_warn};
	const struct milter_set *set = s->server->milters;
	struct milter_set *own = NULL;

	if (!set)
		return false;
	if (set_of_client(s, &own))
		set = own;
	if (milter_set_empty(set)) {
		milter_set_free(&own);
		return false;
	}
	s->filters = x_alloc(sizeof(*s->filters));
	s->filters->own = own;
	buf_init(&s->filters->value, 4 * ADDRESS_MAX);
	s->filters->milters = milters_new(set, &host);
	return true;
}

void filters_free(struct session *s)
{
	if (!s->filters)
		return;
	milters_free(&s->filters->milters);
	milter_set_free(&s->filters->own);
	buf_free(&s->filters->value);
	x_free(&s->filters);
}

struct milters *filters_milters(struct session *s)
{
	return s->filters ? s->filters->milters : NULL;
}

/* ---- decisions */

static void log_decision(struct session *s, const char *action, const char *where, const char *text)
{
	const struct transaction *tx = s->tx;
	const char *recipient = s->filters->recipient;

	if (!recipient && tx && tx->recipient)
		recipient = tx->recipient;
	session_log_action(s, action, where, tx ? tx->sender : NULL, recipient, text);
}

/* What to reply, or NULL. */
static const char *follow(struct session *s, const char *where, struct milter_verdict verdict)
{
	struct effects *effects = s->tx ? &s->tx->effects : &s->effects;

	switch (verdict.action) {
	case MILTER_REFUSE:
		log_decision(s, "milter-reject", where, verdict.reply);
		return verdict.reply;
	case MILTER_DISCARD:
		log_decision(s, "milter-discard", where, "milter triggers DISCARD action");
		effects->discard = true;
		break;
	case MILTER_HOLD:
		if (!effects->hold)
			log_decision(s, "milter-hold", where, "milter triggers HOLD action");
		effects->hold = true;
		break;
	case MILTER_GO_ON:
		break;
	}
	return NULL;
}

static bool replied(struct session *s, const char *text)
{
	if (text)
		reply_lines(s, text);
	return text != NULL;
}

/* Mail that will be thrown away is nobody's business any more. */
static bool wanted(const struct session *s)
{
	return s->filters && !(s->tx && s->tx->effects.discard);
}

/* ---- events */

static struct milter_verdict tell_connect(struct session *s)
{
	const struct client *c = &s->client;
	struct milter_peer peer = {c->name, c->has_addr ? &c->addr : NULL};

	if (c->name_status != DNS_OK)
		peer.name = pool_printf(session_scratch(s), "[%s]", c->address);
	return milters_connect(s->filters->milters, &peer);
}

bool filters_connect(struct session *s, const char *where)
{
	const char *text;

	if (s->filters || !begin(s))
		return true;
	text = follow(s, where, tell_connect(s));
	if (!text || (text[0] == '4' && strncmp(text, "421", 3) != 0))
		return true;
	if (text[0] == '4')
		reply(s, "421 %s Service unavailable - try again later", s->cfg->myhostname);
	else
		reply(s, "554 %s ESMTP not accepting connections", s->cfg->myhostname);
	return false;
}

bool filters_helo(struct session *s, const char *verb, bool *reduced)
{
	const char *text;

	*reduced = false;
	if (!s->filters)
		return true;
	text = follow(s, verb, milters_helo(s->filters->milters, s->helo));
	if (text && strncmp(text, "421", 3) == 0)
		return !replied(s, text);
	*reduced = text && text[0] == '5';
	return true;
}

/* The words of a command: what follows its colon. */
static size_t split(struct session *s, struct str path, struct str parameters, const char *words[WORDS_MAX])
{
	struct pool *pool = session_scratch(s);
	struct str word;
	size_t n = 0;

	path = str_trim(path);
	words[n++] = pool_strndup(pool, path.p, path.n);
	while (n < WORDS_MAX && str_word(&parameters, " \t", &word))
		words[n++] = pool_strndup(pool, word.p, word.n);
	return n;
}

bool filters_mail(struct session *s, struct str path, struct str parameters)
{
	const char *words[WORDS_MAX];

	if (!wanted(s))
		return true;
	return !replied(
		s, follow(s, "MAIL",
			   milters_mail(s->filters->milters, words, split(s, path, parameters, words))));
}

static struct milter_verdict tell_rcpt(
	struct session *s, struct str path, struct str parameters, bool refused)
{
	const char *words[WORDS_MAX];
	size_t n = split(s, path, parameters, words);

	return milters_rcpt(s->filters->milters, words, n, refused);
}

bool filters_rcpt(struct session *s, const char *recipient, struct str path, struct str parameters)
{
	bool good;

	if (!wanted(s))
		return true;
	s->filters->recipient = recipient;
	good = !replied(s, follow(s, "RCPT", tell_rcpt(s, path, parameters, false)));
	s->filters->recipient = NULL;
	return good;
}

void filters_rcpt_refused(
	struct session *s, const struct refusal *refusal, struct str path, struct str parameters)
{
	if (!wanted(s))
		return;
	s->filters->refusal = refusal;
	tell_rcpt(s, path, parameters, true);
	s->filters->refusal = NULL;
}

const char *filters_data(struct session *s, const char *where)
{
	return wanted(s) ? follow(s, where, milters_data(s->filters->milters)) : NULL;
}

bool filters_unknown(struct session *s, struct str line)
{
	const char *text;

	if (!s->filters)
		return true;
	text = pool_strndup(session_scratch(s), line.p, line.n);
	return !replied(s, follow(s, "UNKNOWN", milters_unknown(s->filters->milters, text)));
}

void filters_abort(struct session *s)
{
	if (s->filters)
		milters_abort(s->filters->milters);
}
