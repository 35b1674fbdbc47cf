#include "smtpd/message.h"

#include "base/clock.h"
#include "base/mem.h"
#include "smtpd/drop.h"
#include "smtpd/filters.h"
#include "smtpd/proxy.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

struct message {
	struct cleanup *cleanup;
	struct drop *drop;   /* stand-alone */
	struct proxy *proxy; /* smtpd_proxy_filter */
	const struct effects *effects;
	struct queue_id id; /* of drop, until it has a real one; of proxy, which never has one */
	int64_t when_us;
};

/* Of a client whose name, address and so on were forwarded, nothing is known but what was. */
static const char *known(const struct session *s, const char *forwarded, const char *real)
{
	return s->forwarded ? forwarded : real;
}

/* What later stages may want to know of where the message came from. */
static void add_attributes(struct session *s, struct cleanup *c)
{
	const struct forwarded none = {0}, *f = s->forwarded ? s->forwarded : &none;
	const struct mail_options *o = &s->tx->options;
	char port[8];

	snprintf(port, sizeof(port), "%d", s->client.port);
	cleanup_attribute(c, "client_name", known(s, f->name, s->client.name));
	cleanup_attribute(c, "client_address", known(s, f->address, s->client.address));
	cleanup_attribute(c, "client_port", known(s, f->port, s->client.port ? port : NULL));
	cleanup_attribute(c, "reverse_client_name", s->client.reverse_name);
	cleanup_attribute(c, "helo_name", known(s, f->helo, s->helo));
	cleanup_attribute(c, "protocol_name", known(s, f->protocol, s->protocol));
	cleanup_attribute(c, "log_ident", f->ident);
	cleanup_attribute(c, "sasl_method", s->sasl_method);
	cleanup_attribute(c, "sasl_username", s->sasl_username);
	cleanup_attribute(c, "sasl_sender", session_sasl_sender(s));
	cleanup_attribute(c, "verp_delimiters", o->verp);
	cleanup_attribute(c, "body", o->body);
}

static bool begin_cleanup(struct session *s, struct message *m, struct err *err)
{
	struct cleanup_options options = {.origin = "smtpd",
		.client = s->client.text,
		.queue = QUEUE_INCOMING,
		.milters = filters_milters(s)};
	const struct transaction *tx = s->tx;

	options.local_rewrite =
		s->forwarded && s->forwarded->source ? s->forwarded->local : access_local_rewrite(s);
	m->cleanup = cleanup_begin(s->server->cleanup, &options, err);
	if (!m->cleanup)
		return false;
	add_attributes(s, m->cleanup);
	cleanup_sender(m->cleanup, tx->sender, tx->options.envid, tx->options.ret,
		tx->options.smtputf8 ? ENVELOPE_SMTPUTF8 : 0);
	return true;
}

static bool begin_drop(struct session *s, struct message *m, struct err *err)
{
	m->when_us = clock_real();
	m->id = queue_id_make((uint64_t)m->when_us, s->cfg->enable_long_queue_ids);
	m->drop = drop_begin(s->cfg, s->tx->sender, &s->tx->options, err);
	return m->drop != NULL;
}

static bool begin_proxy(struct session *s, struct message *m)
{
	m->when_us = clock_real();
	snprintf(m->id.text, sizeof(m->id.text), "NOQUEUE");
	m->proxy = proxy_begin(s);
	return true;
}

static bool begin(struct session *s, struct message *m, struct err *err)
{
	if (s->server->standalone)
		return begin_drop(s, m, err);
	return *s->cfg->smtpd_proxy_filter ? begin_proxy(s, m) : begin_cleanup(s, m, err);
}

struct message *message_begin(struct session *s, struct err *err)
{
	struct message *m = x_alloc(sizeof(*m));

	m->effects = &s->tx->effects;
	if (begin(s, m, err))
		return m;
	x_free(&m);
	return NULL;
}

const struct queue_id *message_id(const struct message *m)
{
	return m->cleanup ? cleanup_id(m->cleanup) : &m->id;
}

int64_t message_time(const struct message *m)
{
	return m->cleanup ? cleanup_time(m->cleanup) : m->when_us;
}

bool message_is_queued(const struct message *m)
{
	return !m->proxy;
}

const char *message_recipient(
	struct message *m, const char *address, const char *orcpt, int notify, const char *said)
{
	if (m->proxy)
		return proxy_recipient(m->proxy, address, said);
	if (m->cleanup)
		cleanup_recipient(m->cleanup, address, NULL, orcpt, notify);
	else
		drop_recipient(m->drop, address, notify);
	return NULL;
}

const char *message_data(struct message *m)
{
	return m->proxy ? proxy_data(m->proxy) : NULL;
}

void message_prepend(struct message *m, struct str header_lines)
{
	if (m->proxy)
		proxy_text(m->proxy, header_lines);
	else if (m->cleanup)
		cleanup_prepend(m->cleanup, header_lines);
	else
		drop_text(m->drop, header_lines);
}

/* Some clients end their lines with CR CR LF. */
static struct str without_end(struct str line)
{
	while (line.n && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

bool message_line(struct message *m, struct str line, bool partial)
{
	if (!partial)
		line = without_end(line);
	if (m->proxy)
		return proxy_line(m->proxy, line, partial);
	return m->cleanup ? cleanup_line(m->cleanup, line, partial) : drop_line(m->drop, line, partial);
}

/* What access(5) results asked for. */
static void apply_effects(struct message *m)
{
	const struct effects *e = m->effects;

	cleanup_attribute(m->cleanup, "content_filter", e->filter);
	if (e->redirect)
		cleanup_redirect(m->cleanup, e->redirect);
	if (e->hold)
		cleanup_hold(m->cleanup);
	for (size_t i = 0; i < e->bcc.count; i++)
		cleanup_recipient(m->cleanup, e->bcc.items[i], NULL, NULL, NOTIFY_NEVER);
}

static void end_proxy(struct message *m, struct cleanup_result *result)
{
	bool accepted;

	*result = (struct cleanup_result){.reply = proxy_end(&m->proxy, &accepted)};
	result->status = accepted ? CLEANUP_OK : CLEANUP_REJECTED;
}

void message_end(
	struct message **mp, struct cleanup_result *result, struct queue_id *id, char *text, size_t text_size)
{
	struct message *m = *mp;

	*id = *message_id(m);
	if (m->proxy) {
		end_proxy(m, result);
	} else if (m->drop) {
		drop_end(&m->drop, result, id, text, text_size);
	} else if (m->effects->discard) {
		*result = (struct cleanup_result){.status = CLEANUP_OK};
		cleanup_abort(&m->cleanup);
	} else {
		apply_effects(m);
		cleanup_end(&m->cleanup, result, text, text_size);
	}
	x_free(mp);
}

void message_abort(struct message **mp)
{
	if (!*mp)
		return;
	cleanup_abort(&(*mp)->cleanup);
	drop_abort(&(*mp)->drop);
	proxy_abort(&(*mp)->proxy);
	x_free(mp);
}
