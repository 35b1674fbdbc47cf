/* check_*_mx_access, check_*_ns_access and check_*_a_access: tables asked for the hosts behind a name, and
 * for their addresses. */
#include "base/log.h"
#include "mail/address.h"
#include "smtpd/access.h"
#include "smtpd/access_dns.h"
#include "smtpd/session.h"

#define HOSTS_MAX 100 /* hosts that are looked at for one name */

/* The name that a row is about. */
static bool subject_of(
	struct access *a, int about, const char **name, const char **subject, const char **what)
{
	const struct session *s = a->session;
	static const char *const classes[] = {[HOSTS_OF_CLIENT] = "Client host",
		[HOSTS_OF_REVERSE_CLIENT] = "Unverified Client host",
		[HOSTS_OF_HELO] = "Helo command",
		[HOSTS_OF_SENDER] = "Sender address",
		[HOSTS_OF_RECIPIENT] = "Recipient address"};
	const char *names[] = {[HOSTS_OF_CLIENT] = s->client.name,
		[HOSTS_OF_REVERSE_CLIENT] = s->client.reverse_name,
		[HOSTS_OF_HELO] = s->helo,
		[HOSTS_OF_SENDER] = a->sender,
		[HOSTS_OF_RECIPIENT] = a->recipient};

	*name = *subject = names[about];
	*what = classes[about];
	if (about == HOSTS_OF_CLIENT)
		*subject = s->client.text;
	if (about <= HOSTS_OF_REVERSE_CLIENT && strcmp(*name, "unknown") == 0)
		return false;
	return *name && **name;
}

/* The domain part of an address, or the whole name. */
static const char *domain_of(const char *name)
{
	const char *at = strrchr(name, '@');

	return at ? at + 1 : name;
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]": the address; NULL: not a literal. */
static const char *literal_address(struct access *a, struct str domain)
{
	struct net_addr addr;
	char text[NET_HOST_MAX];

	if (!address_valid_literal(domain))
		return NULL;
	domain = str_first(str_from(domain, 1), domain.n - 2);
	if (str_case_starts(domain, STR("IPv6:")))
		domain = str_from(domain, 5);
	if (!net_parse_ip(domain, 0, &addr))
		return NULL;
	return pool_strdup(a->pool, net_host(&addr, text));
}

/* One host: its name, then its addresses. true: the table decided. */
static bool check_host(const struct rule *rule, struct access *a, struct dns *dns, const char *host,
	const char *subject, const char *what, struct answer *out)
{
	struct dns_answer answer = {.status = DNS_RETRY};
	char text[NET_HOST_MAX];

	if (access_lookup_name(a, rule, host, subject, what, out))
		return true;
	dns_addresses(dns, a->pool, host, true, true, &answer);
	if (answer.status == DNS_RETRY)
		log_warning(
			"Unable to look up the address of host %s for %s: %s", host, subject, answer.reason);
	for (size_t i = 0; answer.status == DNS_OK && i < answer.count; i++)
		if (access_lookup_address(
			    a, rule, net_host(&answer.records[i].address, text), subject, what, out))
			return true;
	return false;
}

/* The name servers are those of the closest parent that has some. */
static void name_servers(struct access *a, struct dns *dns, const char *domain, struct dns_answer *out)
{
	for (;;) {
		dns_lookup(dns, a->pool, domain, DNS_NS, out);
		if (out->status == DNS_OK || out->status == DNS_RETRY)
			return;
		domain = strchr(domain, '.');
		if (!domain || !strchr(++domain, '.'))
			return;
	}
}

static void check_hosts(const struct rule *rule, struct access *a, const char *domain, const char *subject,
	const char *what, struct answer *out)
{
	struct dns *dns = smtpd_slot_dns(a->session->slot);
	struct dns_answer hosts = {.status = DNS_NO_DATA};
	int kind = rule->row->variant & HOSTS_KIND;

	if (!dns)
		return;
	if (kind == HOSTS_MX)
		dns_lookup(dns, a->pool, domain, DNS_MX, &hosts);
	else if (kind == HOSTS_NS)
		name_servers(a, dns, domain, &hosts);
	if (hosts.status == DNS_OK && !hosts.null_mx) {
		for (size_t i = 0; i < hosts.count && i < HOSTS_MAX; i++)
			if (check_host(rule, a, dns, hosts.records[i].text, subject, what, out))
				return;
	} else if (hosts.status == DNS_RETRY) {
		log_warning("Unable to look up %s host for %s: %s", kind == HOSTS_MX ? "MX" : "NS", domain,
			hosts.reason);
	} else if (kind != HOSTS_NS && !hosts.null_mx) {
		/* Without MX records the domain is its own host (RFC 5321 section 5.1). */
		check_host(rule, a, dns, domain, subject, what, out);
	}
}

void access_forbid_permit(
	const struct rule *rule, struct access *a, const char *subject, struct answer *out, const char *text)
{
	if (out->verdict != VERDICT_PERMIT || a->effects.discard)
		return;
	log_warning("restriction %s returns OK for %s", rule->name, subject);
	log_warning("this is not allowed for security reasons");
	log_warning("use DUNNO instead of OK if you want to make an exception");
	answer_refuse(a, out, VERDICT_REFUSE, 451, "4.3.5", "%s", text);
}

void check_hosts_access(const struct rule *rule, struct access *a, struct answer *out)
{
	const char *name, *subject, *what, *domain, *literal;

	if (!subject_of(a, rule->row->variant >> HOSTS_SHIFT, &name, &subject, &what))
		return;
	domain = domain_of(name);
	literal = literal_address(a, str_c(domain));
	if (literal && (rule->row->variant & HOSTS_KIND) != HOSTS_NS)
		access_lookup_address(a, rule, literal, subject, what, out);
	else if (!literal && address_valid_hostname(str_c(domain)))
		check_hosts(rule, a, domain, subject, what, out);
	access_forbid_permit(rule, a, subject, out,
		pool_printf(a->pool, "<%s>: %s rejected: Server configuration error", subject, what));
}

/* ---- permit_mx_backup */

static bool host_is_own(struct access *a, struct dns *dns, const char *host, bool *in_networks)
{
	struct dns_answer answer = {.status = DNS_RETRY};
	struct server *server = a->session->server;
	struct err err = {0};
	char text[NET_HOST_MAX];
	bool own = false;

	dns_addresses(dns, a->pool, host, true, true, &answer);
	for (size_t i = 0; answer.status == DNS_OK && i < answer.count; i++) {
		net_host(&answer.records[i].address, text);
		own |= resolve_is_own_address(server->resolver, text);
		*in_networks |= named_list_host(&server->mx_backup_networks, host, text, &err) == TABLE_FOUND;
	}
	return own;
}

/* Whether this host is an exchanger for the domain, but not the first choice. */
static bool is_backup(struct access *a, struct dns *dns, const struct dns_answer *mx)
{
	bool listed = false, first_own = false, first_in_networks = false, ignored;
	int best = mx->records[0].preference;

	for (size_t i = 1; i < mx->count; i++)
		if (mx->records[i].preference < best)
			best = mx->records[i].preference;
	for (size_t i = 0; i < mx->count; i++) {
		bool first = mx->records[i].preference == best;
		bool own = host_is_own(a, dns, mx->records[i].text, first ? &first_in_networks : &ignored);

		listed |= own;
		first_own |= own && first;
	}
	if (a->session->server->mx_backup_networks.list)
		return listed && first_in_networks;
	return listed && !first_own;
}

void check_mx_backup(const struct rule *rule, struct access *a, struct answer *out)
{
	struct dns *dns = smtpd_slot_dns(a->session->slot);
	struct dns_answer mx = {.status = DNS_RETRY};
	const struct resolved *to;

	if (!a->recipient || !dns)
		return;
	to = access_resolve(a, a->recipient, out);
	if (!to || to->error)
		return;
	if (to->class != CLASS_DEFAULT) {
		out->verdict = to->routed ? VERDICT_DUNNO : VERDICT_PERMIT;
		return;
	}
	if (to->routed)
		return;
	dns_lookup(dns, a->pool, domain_of(to->recipient), DNS_MX, &mx);
	if (mx.status == DNS_RETRY)
		answer_refuse(a, out, VERDICT_DEFER_IF_REJECT, 450, "4.4.4",
			"<%s>: Unable to look up mail exchanger information: %s", a->recipient, mx.reason);
	else if (mx.status == DNS_OK && mx.count > 0 && !mx.null_mx && is_backup(a, dns, &mx))
		out->verdict = VERDICT_PERMIT;
}
