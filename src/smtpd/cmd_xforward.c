/* XFORWARD: what a proxy or filter says of the client that it has a message from; for the log and for later
 * hops, not for access control. */
#include "base/mem.h"
#include "mail/address.h"
#include "smtpd/proxied.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"

static bool set_text(char **field, const struct proxied *p)
{
	session_set(field, p->kind == PROXIED_GIVEN ? p->value : NULL);
	return true;
}

static bool set_name(struct session *s, const struct proxied *p, void *to)
{
	struct forwarded *f = to;

	if (p->kind == PROXIED_GIVEN && !address_valid_hostname(str_c(p->value)))
		return proxied_bad_syntax(s, p);
	return set_text(&f->name, p);
}

static bool set_address(struct session *s, const struct proxied *p, void *to)
{
	struct forwarded *f = to;
	char text[NET_HOST_MAX];
	struct net_addr addr;

	if (p->kind != PROXIED_GIVEN)
		return set_text(&f->address, p);
	if (!proxied_address(p->value, &addr))
		return proxied_bad_syntax(s, p);
	session_set(&f->address, net_host(&addr, text));
	return true;
}

static bool set_port(struct session *s, const struct proxied *p, void *to)
{
	struct forwarded *f = to;
	uint16_t port;

	if (p->kind == PROXIED_GIVEN && !proxied_port(p->value, &port))
		return proxied_bad_syntax(s, p);
	return set_text(&f->port, p);
}

static bool set_helo(struct session *s, const struct proxied *p, void *to)
{
	struct forwarded *f = to;

	return set_text(&f->helo, p);
}

static bool set_protocol(struct session *s, const struct proxied *p, void *to)
{
	struct forwarded *f = to;

	return set_text(&f->protocol, p);
}

static bool set_ident(struct session *s, const struct proxied *p, void *to)
{
	struct forwarded *f = to;

	return set_text(&f->ident, p);
}

static bool set_source(struct session *s, const struct proxied *p, void *to)
{
	struct forwarded *f = to;

	f->local = str_case_is(str_c(p->value), "LOCAL");
	if (!f->local && !str_case_is(str_c(p->value), "REMOTE"))
		return proxied_bad_syntax(s, p);
	f->source = true;
	return true;
}

static const struct proxied_attribute attributes[] = {
	{"NAME", set_name},
	{"ADDR", set_address},
	{"PORT", set_port},
	{"HELO", set_helo},
	{"PROTO", set_protocol},
	{"IDENT", set_ident},
	{"SOURCE", set_source},
	{NULL, NULL},
};

bool cmd_xforward(struct session *s, struct str rest)
{
	if (!proxied_in_order(s, "XFORWARD", s->may_xforward, rest))
		return false;
	if (!s->forwarded)
		s->forwarded = x_alloc(sizeof(*s->forwarded));
	if (!proxied_take(s, "XFORWARD", attributes, rest, s->forwarded))
		return false;
	reply(s, "250 2.0.0 Ok");
	return true;
}
