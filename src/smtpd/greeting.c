#include "smtpd/greeting.h"

#include "base/log.h"
#include "smtpd/client_limits.h"
#include "smtpd/dialogue.h"
#include "smtpd/filters.h"
#include "smtpd/haproxy.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/tls_offer.h"

void greeting_send(struct session *s, const char *where)
{
	s->denied = (struct refusal){0};
	if (access_client(s, where, &s->denied)) {
		if (filters_connect(s, where))
			reply(s, "220 %s",
				s->cfg == s->server->cfg ? s->server->banner : s->server->stress_banner);
		return;
	}
	/* It is told why; after that every command is refused. */
	s->denied.text = pool_strdup(s->pool, s->denied.text);
	reply_refusal(s, &s->denied);
}

/* Input before the greeting: nobody that waits for our word. */
static bool spoke_first(struct session *s)
{
	if (!s->cfg->smtpd_forbid_unauth_pipelining || stream_fill(s->io, 0) == 0 ||
		stream_buffered(s->io) == 0)
		return false;
	s->bad_pipelining = true;
	session_log_pipelining(s, s->where);
	return true;
}

static void look_up_names(struct session *s)
{
	struct client *c = &s->client;
	const char *name = "unknown", *reverse = "unknown";
	struct dns *dns;

	c->name_status = c->reverse_status = DNS_NOT_FOUND;
	if (s->cfg->smtpd_peername_lookup && c->has_addr) {
		dns = smtpd_slot_dns(s->slot);
		c->name_status = c->reverse_status = DNS_RETRY;
		if (dns)
			c->name_status = dns_peer_name(
				dns, session_scratch(s), &c->addr, &name, &reverse, &c->reverse_status);
	}
	client_set_names(c, name, reverse);
	client_describe(c, s->cfg->smtpd_client_port_logging);
}

static bool read_proxy_header(struct session *s)
{
	struct haproxy header;
	struct err err = {0};

	if (strcmp(s->cfg->smtpd_upstream_proxy_protocol, "haproxy") != 0)
		return true;
	if (!haproxy_read(s->io, s->cfg->smtpd_upstream_proxy_timeout, &header, &err)) {
		log_warning("haproxy read: %s", err.text);
		return false;
	}
	if (header.has_addresses) {
		client_set_address(&s->client, &header.client);
		session_set_local(s, &header.server);
	}
	return true;
}

/* What depends on the host that is connected, whoever it speaks for later. */
static void decide_about_client(struct session *s)
{
	s->may_xforward = session_client_in(s, &s->server->xforward_hosts);
	if (s->bare_newline != BARE_ALLOWED && session_client_in(s, &s->server->bare_exclusions))
		s->bare_newline = BARE_ALLOWED;
}

static bool refuse_open(struct session *s, const char *text)
{
	reply(s, "%s", text);
	s->hangup = true;
	return false;
}

/* TLS before anything is said. */
static bool start_wrapped(struct session *s)
{
	const char *fault;

	if (s->server->tls && tls_start(s)) {
		fault = tls_client_fault(s);
		return !fault || refuse_open(s, pool_printf(session_scratch(s), "421 4.7.1 %s Error: %s",
							s->cfg->myhostname, fault));
	}
	if (s->server->tls)
		s->protocol_end = "lost connection";
	else
		log_warning("Wrapper-mode request dropped from %s: TLS is not available", s->client.text);
	s->hangup = true;
	return false;
}

static bool open_steps(struct session *s)
{
	bool proxied = s->server->standalone || read_proxy_header(s);

	if (!s->server->standalone)
		look_up_names(s);
	decide_about_client(s);
	dialogue_begin(s);
	session_log_connect(s);
	if (!proxied)
		return refuse_open(s, pool_printf(session_scratch(s), "421 4.3.0 %s Server local error",
					      s->cfg->myhostname));
	if (!client_limits_connect(s))
		return false;
	if (s->cfg->smtpd_tls_wrappermode && !s->server->standalone && !start_wrapped(s))
		return false;
	if (spoke_first(s))
		return refuse_open(s, "554 5.5.0 Error: SMTP protocol synchronization");
	return true;
}

void greeting_open(struct session *s)
{
	s->where = "CONNECT";
	if (open_steps(s))
		greeting_send(s, "CONNECT");
}
