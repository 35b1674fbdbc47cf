#include "smtpd/client_limits.h"

#include "base/clock.h"
#include "base/log.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"

#define RECLAIM_NS NS_PER_SEC

struct kind {
	const char *what; /* in the log: "... limit exceeded" */
	const char *reply;
};

static const struct kind kinds[LIMIT_EVENTS] = {
	[LIMIT_CONNECTIONS] = {"Connection rate", NULL},
	[LIMIT_MESSAGES] = {"Message delivery request rate", "450 4.7.1 Error: too much mail from"},
	[LIMIT_RECIPIENTS] = {"Recipient address rate", "450 4.7.1 Error: too many recipients from"},
	[LIMIT_TLS_SESSIONS] = {"New TLS session rate", NULL},
	[LIMIT_AUTHENTICATIONS] = {"AUTH command rate", "450 4.7.1 Error: too many AUTH commands from"},
};

static unsigned limit_of(const struct config *cfg, enum limit_event event)
{
	const int limits[LIMIT_EVENTS] = {[LIMIT_CONNECTIONS] = cfg->smtpd_client_connection_rate_limit,
		[LIMIT_MESSAGES] = cfg->smtpd_client_message_rate_limit,
		[LIMIT_RECIPIENTS] = cfg->smtpd_client_recipient_rate_limit,
		[LIMIT_TLS_SESSIONS] = cfg->smtpd_client_new_tls_session_rate_limit,
		[LIMIT_AUTHENTICATIONS] = cfg->smtpd_client_auth_rate_limit};

	return (unsigned)limits[event];
}

static const char *service_of(const struct session *s)
{
	return s->server->service ? service_name(s->server->service) : "smtpd";
}

static void log_excess(struct session *s, const char *what, unsigned count)
{
	log_warning(
		"%s limit exceeded: %u from %s for service %s", what, count, s->client.text, service_of(s));
}

static bool refuse_connection(struct session *s, const char *what, unsigned count)
{
	log_excess(s, what, count);
	reply(s, "421 4.7.0 %s Error: too many connections from %s", s->cfg->myhostname, s->client.address);
	return false;
}

static bool is_limited(struct session *s)
{
	const struct config *cfg = s->cfg;
	bool any = cfg->smtpd_client_connection_count_limit > 0;

	for (int event = 0; event < LIMIT_EVENTS; event++)
		any |= limit_of(cfg, (enum limit_event)event) > 0;
	return any && s->client.has_addr && !session_client_in(s, &s->server->limit_exceptions) &&
	       !session_client_in(s, &s->server->xclient_hosts);
}

static void lost(void *limits, uint64_t key)
{
	limits_disconnect(limits, key);
}

void client_limits_reclaim(struct server *server)
{
	int64_t next = atomic_load(&server->next_reclaim), now = clock_mono();

	if (now >= next && atomic_compare_exchange_strong(&server->next_reclaim, &next, now + RECLAIM_NS))
		holds_reclaim(&server->holds, lost, &server->limits);
}

static bool too_many(struct session *s)
{
	const unsigned limit = (unsigned)s->cfg->smtpd_client_connection_count_limit;

	if (limit == 0 || s->connections <= limit)
		return false;
	client_limits_reclaim(s->server);
	s->connections = limits_open(&s->server->limits, s->limit_key);
	return s->connections > limit;
}

bool client_limits_connect(struct session *s)
{
	const struct config *cfg = s->cfg;
	const struct limits *limits = &s->server->limits;
	unsigned count;

	if (!limits->table || !is_limited(s))
		return true;
	s->limit_key = limits_key(limits, service_of(s), &s->client.addr,
		cfg->smtpd_client_ipv4_prefix_length, cfg->smtpd_client_ipv6_prefix_length);
	s->hold = holds_take(&s->server->holds, s->limit_key);
	s->connections = limits_connect(limits, s->limit_key);
	if (too_many(s))
		return refuse_connection(s, "Connection concurrency", s->connections);
	count = limits_count(limits, s->limit_key, LIMIT_CONNECTIONS);
	if (limit_of(cfg, LIMIT_CONNECTIONS) > 0 && count > limit_of(cfg, LIMIT_CONNECTIONS))
		return refuse_connection(s, kinds[LIMIT_CONNECTIONS].what, count);
	return true;
}

void client_limits_disconnect(struct session *s)
{
	if (s->limit_key)
		limits_disconnect(&s->server->limits, s->limit_key);
	holds_give(&s->server->holds, s->hold);
	s->limit_key = s->hold = 0;
}

bool client_limits_allow(struct session *s, enum limit_event event)
{
	unsigned limit = limit_of(s->cfg, event), count;

	if (!s->limit_key || limit == 0)
		return true;
	count = limits_count(&s->server->limits, s->limit_key, event);
	if (count <= limit)
		return true;
	log_excess(s, kinds[event].what, count);
	notify_note(s, NOTICE_POLICY);
	reply(s, "%s %s", kinds[event].reply, s->client.address);
	return false;
}

bool client_limits_allow_tls(struct session *s)
{
	unsigned limit = limit_of(s->cfg, LIMIT_TLS_SESSIONS);

	if (!s->limit_key || limit == 0 ||
		limits_seen(&s->server->limits, s->limit_key, LIMIT_TLS_SESSIONS) < limit)
		return true;
	log_warning("Refusing STARTTLS request from %s for service %s", s->client.text, service_of(s));
	notify_note(s, NOTICE_POLICY);
	reply(s, "454 4.7.0 Error: too many new TLS sessions from %s", s->client.text);
	return false;
}

void client_limits_new_tls(struct session *s)
{
	unsigned limit = limit_of(s->cfg, LIMIT_TLS_SESSIONS), count;

	if (!s->limit_key || limit == 0)
		return;
	count = limits_count(&s->server->limits, s->limit_key, LIMIT_TLS_SESSIONS);
	if (count > limit)
		log_excess(s, kinds[LIMIT_TLS_SESSIONS].what, count);
}
