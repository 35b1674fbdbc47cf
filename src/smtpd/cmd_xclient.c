/* XCLIENT: an authorised proxy says who its client is. The session starts over as that client's. */
#include "mail/address.h"
#include "smtpd/dialogue.h"
#include "smtpd/greeting.h"
#include "smtpd/proxied.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"

/* The client as it will be when all attributes are good. */
struct override {
	const char *name, *reverse_name, *helo, *login, *protocol;
	bool has_name, has_reverse, has_helo, has_login, has_address, has_port, has_local_address,
		has_local_port;
	enum dns_status name_status, reverse_status;
	bool address_unknown;
	struct net_addr address, local;
	uint16_t port, local_port;
};

static enum dns_status name_status(const struct proxied *p)
{
	return p->kind == PROXIED_GIVEN ? DNS_OK : p->kind == PROXIED_UNAVAILABLE ? DNS_NOT_FOUND : DNS_RETRY;
}

static bool set_name(struct session *s, const struct proxied *p, void *to)
{
	struct override *o = to;

	if (p->kind == PROXIED_GIVEN && !address_valid_hostname(str_c(p->value)))
		return proxied_bad_syntax(s, p);
	o->has_name = true;
	o->name = p->kind == PROXIED_GIVEN ? p->value : "unknown";
	o->name_status = name_status(p);
	return true;
}

static bool set_reverse(struct session *s, const struct proxied *p, void *to)
{
	struct override *o = to;

	if (p->kind == PROXIED_GIVEN && !address_valid_hostname(str_c(p->value)))
		return proxied_bad_syntax(s, p);
	o->has_reverse = true;
	o->reverse_name = p->kind == PROXIED_GIVEN ? p->value : "unknown";
	o->reverse_status = name_status(p);
	return true;
}

static bool set_address(struct session *s, const struct proxied *p, void *to)
{
	struct override *o = to;

	o->address_unknown = p->kind != PROXIED_GIVEN;
	if (!o->address_unknown && !proxied_address(p->value, &o->address))
		return proxied_bad_syntax(s, p);
	o->has_address = true;
	return true;
}

static bool set_port(struct session *s, const struct proxied *p, void *to)
{
	struct override *o = to;

	if (p->kind == PROXIED_GIVEN && !proxied_port(p->value, &o->port))
		return proxied_bad_syntax(s, p);
	o->has_port = true;
	return true;
}

static bool set_helo(struct session *s, const struct proxied *p, void *to)
{
	struct override *o = to;

	o->has_helo = true;
	o->helo = p->kind == PROXIED_GIVEN ? p->value : NULL;
	return true;
}

static bool set_protocol(struct session *s, const struct proxied *p, void *to)
{
	struct override *o = to;

	if (str_case_is(str_c(p->value), "SMTP"))
		o->protocol = "SMTP";
	else if (str_case_is(str_c(p->value), "ESMTP"))
		o->protocol = "ESMTP";
	else
		return proxied_bad_syntax(s, p);
	return true;
}

static bool set_login(struct session *s, const struct proxied *p, void *to)
{
	struct override *o = to;

	o->has_login = true;
	o->login = p->kind == PROXIED_GIVEN ? p->value : NULL;
	return true;
}

static bool set_local_address(struct session *s, const struct proxied *p, void *to)
{
	struct override *o = to;

	if (p->kind != PROXIED_GIVEN || !proxied_address(p->value, &o->local))
		return proxied_bad_syntax(s, p);
	o->has_local_address = true;
	return true;
}

static bool set_local_port(struct session *s, const struct proxied *p, void *to)
{
	struct override *o = to;

	if (p->kind != PROXIED_GIVEN || !proxied_port(p->value, &o->local_port))
		return proxied_bad_syntax(s, p);
	o->has_local_port = true;
	return true;
}

static const struct proxied_attribute attributes[] = {
	{"NAME", set_name},
	{"REVERSE_NAME", set_reverse},
	{"ADDR", set_address},
	{"PORT", set_port},
	{"HELO", set_helo},
	{"PROTO", set_protocol},
	{"LOGIN", set_login},
	{"DESTADDR", set_local_address},
	{"DESTPORT", set_local_port},
	{NULL, NULL},
};

static void apply_names(struct session *s, const struct override *o)
{
	struct client *c = &s->client;

	if (o->has_name) {
		c->name_status = o->name_status;
		session_set(&c->name, o->name);
	}
	/* One who knows the verified name only has no other reverse name to tell. */
	if (o->has_reverse || o->has_name) {
		c->reverse_status = o->has_reverse ? o->reverse_status : o->name_status;
		session_set(&c->reverse_name, o->has_reverse ? o->reverse_name : o->name);
	}
}

static void apply_address(struct session *s, const struct override *o)
{
	uint16_t port = s->client.port;

	if (o->has_address && o->address_unknown)
		client_forget_address(&s->client);
	else if (o->has_address)
		client_set_address(&s->client, &o->address);
	s->client.port = o->has_port ? o->port : port;
	if (o->has_local_address)
		session_set_local(s, &o->local);
	if (o->has_local_port)
		session_set_local_port(s, o->local_port);
}

static void apply_login(struct session *s, const struct override *o)
{
	if (!o->has_login)
		return;
	session_set(&s->sasl_username, o->login);
	session_set(&s->sasl_method, o->login ? "XCLIENT" : NULL);
}

static void apply(struct session *s, const struct override *o)
{
	session_forget_client(s);
	apply_names(s, o);
	apply_address(s, o);
	apply_login(s, o);
	s->client.networks = CLIENT_UNASKED;
	client_describe(&s->client, s->cfg->smtpd_client_port_logging);
	dialogue_begin(s);
	if (o->has_helo)
		session_set(&s->helo, o->helo);
	if (o->protocol)
		s->protocol = o->protocol;
}

bool cmd_xclient(struct session *s, struct str rest)
{
	struct override o = {0};

	if (!proxied_in_order(s, "XCLIENT", session_client_in(s, &s->server->xclient_hosts), rest))
		return false;
	if (!proxied_take(s, "XCLIENT", attributes, rest, &o))
		return false;
	apply(s, &o);
	greeting_send(s, "XCLIENT");
	return true;
}
