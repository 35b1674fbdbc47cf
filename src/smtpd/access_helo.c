/* Checks of the name given with HELO or EHLO. */
#include "mail/address.h"
#include "smtpd/access.h"
#include "smtpd/access_dns.h"
#include "smtpd/session.h"

/* "[...]" with an address that a host can have: 0.0.0.0 but nothing else of network 0. */
static bool valid_helo_literal(struct str name)
{
	return address_valid_literal(name) && (!str_starts(name, STR("[0.")) || str_is(name, "[0.0.0.0]"));
}

/* true: the name is a literal and has been dealt with. */
static bool check_literal(struct access *a, struct str name, struct answer *out)
{
	if (name.n == 0 || name.p[0] != '[')
		return false;
	if (!valid_helo_literal(name))
		answer_refuse(a, out, VERDICT_REFUSE, a->session->cfg->invalid_hostname_reject_code, "5.5.2",
			"<%s>: Helo command rejected: invalid ip address", a->session->helo);
	return true;
}

static struct str without_last_dot(struct str name)
{
	return name.n > 1 && name.p[name.n - 1] == '.' ? str_first(name, name.n - 1) : name;
}

void check_invalid_helo(const struct rule *rule, struct access *a, struct answer *out)
{
	struct str name = str_c(a->session->helo);
	struct net_addr addr;

	if (!a->session->helo || check_literal(a, name, out))
		return;
	name = without_last_dot(name);
	if (!address_valid_hostname(name) && !net_parse_ip(name, 0, &addr))
		answer_refuse(a, out, VERDICT_REFUSE, a->session->cfg->invalid_hostname_reject_code, "5.5.2",
			"<%s>: Helo command rejected: Invalid name", a->session->helo);
}

void check_non_fqdn_helo(const struct rule *rule, struct access *a, struct answer *out)
{
	struct str name = str_c(a->session->helo);

	if (!a->session->helo || check_literal(a, name, out))
		return;
	name = without_last_dot(name);
	if (!address_valid_hostname(name) || str_find(name, '.') < 0)
		answer_refuse(a, out, VERDICT_REFUSE, a->session->cfg->non_fqdn_reject_code, "5.5.2",
			"<%s>: Helo command rejected: need fully-qualified hostname", a->session->helo);
}

void check_unknown_helo(const struct rule *rule, struct access *a, struct answer *out)
{
	struct session *s = a->session;

	if (!s->helo || check_literal(a, str_c(s->helo), out))
		return;
	switch (access_dns_host(a, s->helo)) {
	case DNS_OK:
		break;
	case DNS_RETRY:
		answer_refuse(a, out, access_tempfail_verdict(s->cfg->unknown_helo_hostname_tempfail_action),
			450, "4.7.1", "<%s>: Helo command rejected: Host not found", s->helo);
		break;
	default:
		answer_refuse(a, out, VERDICT_REFUSE, s->cfg->unknown_hostname_reject_code, "4.7.1",
			"<%s>: Helo command rejected: Host not found", s->helo);
	}
}

void check_naked_address(const struct rule *rule, struct access *a, struct answer *out)
{
	struct net_addr addr;

	const char *helo = a->session->helo;

	if (!helo || !*helo || helo[strspn(helo, "0123456789.:")])
		return;
	if (net_parse_ip(str_c(helo), 0, &addr))
		out->verdict = VERDICT_PERMIT;
	else
		answer_refuse(a, out, VERDICT_REFUSE, a->session->cfg->invalid_hostname_reject_code, "5.5.2",
			"<%s>: Helo command rejected: invalid ip address", helo);
}

void check_helo_access(const struct rule *rule, struct access *a, struct answer *out)
{
	if (a->session->helo)
		access_lookup_name(a, rule, a->session->helo, a->session->helo, "Helo command", out);
}
