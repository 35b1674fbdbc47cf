#include "smtp/smtp_hosts.h"

#include <netinet/in.h>
#include <stdlib.h>

#include "base/log.h"
#include "mail/address.h"

#define SMTP_PORT 25

/* The work of finding hosts. */
struct search {
	struct smtp_delivery *d;
	const struct smtp_destination *to;
	struct smtp_hosts *out;
	struct dsn **why;
	bool *final;
};

static const char *type_name(const struct smtp_client *client)
{
	return client->want_v6 ? "AAAA" : "A";
}

static bool fail(struct search *s, enum dsn_action action, const char *status, const char *text)
{
	*s->why = dsn_make(s->d->pool, action, status, "%s", text);
	return false;
}

static bool is_soft(const struct dns_answer *answer)
{
	return answer->status == DNS_RETRY || (answer->status == DNS_INVALID && !answer->bad_names);
}

static bool lookup_failed(
	struct search *s, const char *name, const char *type, const struct dns_answer *answer)
{
	bool soft = is_soft(answer);

	if (answer->filtered) {
		*s->why = dsn_make(s->d->pool, DSN_DELAYED,
			answer->filtered == DNS_FILTER_DROPPED ? "4.7.0" : "4.4.3",
			"Error looking up name=%s type=%s: %s", name, type, answer->reason);
		return false;
	}
	*s->why = dsn_make(s->d->pool, soft ? DSN_DELAYED : DSN_FAILED, soft ? "4.4.3" : "5.4.4",
		"%sName service error for name=%s type=%s: %s",
		answer->status == DNS_INVALID ? "" : "Host or domain name not found. ", name, type,
		answer->reason);
	return false;
}

/* The words of the system's own resolver, for smtp_host_lookup = native. */
static bool native_failed(struct search *s, const char *name, const struct dns_answer *answer)
{
	struct pool *pool = s->d->pool;

	if (is_soft(answer))
		*s->why = dsn_make(pool, DSN_DELAYED, "4.4.4",
			"unable to look up host %s: Temporary failure in name resolution", name);
	else if (answer->status == DNS_NO_DATA)
		*s->why = dsn_make(pool, DSN_FAILED, "5.3.0",
			"unable to look up host %s: No address associated with hostname", name);
	else
		*s->why = dsn_make(pool, DSN_FAILED, "5.4.4",
			"unable to look up host %s: Name or service not known", name);
	return false;
}

static bool addresses_failed(struct search *s, const char *name, const struct dns_answer *answer)
{
	if (s->d->client->lookup_native && !answer->filtered)
		return native_failed(s, name, answer);
	return lookup_failed(s, name, type_name(s->d->client), answer);
}

static void set_port(struct net_addr *a, uint16_t port)
{
	if (a->ss.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&a->ss)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)&a->ss)->sin_port = htons(port);
}

/* An address that is listed twice is kept where it is preferred most, and tried once. */
static bool known(const struct smtp_hosts *hosts, const struct net_addr *a)
{
	for (size_t i = 0; i < hosts->count; i++)
		if (net_same_host(&hosts->list[i].address, a))
			return true;
	return false;
}

static void add_addresses(struct search *s, const char *name, int preference, const struct dns_answer *answer)
{
	const bool canonical = s->d->client->cfg->smtp_cname_overrides_servername;
	struct smtp_hosts *hosts = s->out;
	struct smtp_host *all;

	if (answer->count == 0)
		return;
	all = pool_alloc(s->d->pool, (hosts->count + answer->count) * sizeof(*all));
	if (hosts->count > 0)
		memcpy(all, hosts->list, hosts->count * sizeof(*all));
	hosts->list = all;
	for (size_t i = 0; i < answer->count; i++) {
		struct smtp_host *h = &all[hosts->count];

		if (known(hosts, &answer->records[i].address))
			continue;
		*h = (struct smtp_host){.name = canonical ? answer->canonical : name,
			.address = answer->records[i].address,
			.preference = preference,
			.secure = answer->secure,
			.base = answer->canonical};
		set_port(&h->address, s->to->port);
		hosts->count++;
	}
}

static void lookup_addresses(struct search *s, const char *name, struct dns_answer *answer)
{
	struct smtp_delivery *d = s->d;
	struct smtp_client *c = d->client;

	if (c->lookup_dns) {
		dns_search_addresses(d->dns, d->pool, name, c->want_v4, c->want_v6, c->short_names, answer);
		dns_filter(&c->dns_filter, d->pool, name, answer);
	}
	if (!c->lookup_dns || (c->lookup_native && answer->status != DNS_OK))
		dns_native_addresses(d->dns, d->pool, name, c->want_v4, c->want_v6, answer);
}

static bool is_self(const struct search *s, const struct smtp_host *h)
{
	return own_addresses_have(s->d->client->own, &h->address);
}

/* best_mx_transport: another agent gets the mail. */
static void pass_on(const struct smtp_delivery *d, const char *transport)
{
	const struct delivery_request *r = d->request;
	const char *colon = strchr(transport, ':');
	const char *name =
		pool_strndup(d->pool, transport, colon ? (size_t)(colon - transport) : strlen(transport));

	for (size_t i = 0; i < r->recipient_count; i++)
		agent_pass(d->agent, i, name, colon && colon[1] ? colon + 1 : r->nexthop);
}

static bool loops_back(struct search *s)
{
	const char *transport = s->d->client->cfg->best_mx_transport;

	if (transport[0])
		pass_on(s->d, transport);
	*s->why = dsn_make(s->d->pool, DSN_FAILED, "5.4.6", "mail for %s loops back to myself", s->to->host);
	return false;
}

/* Hosts that are no better than ourselves would only bring the mail back. */
static bool drop_self(struct search *s)
{
	struct smtp_hosts *hosts = s->out;
	int own = INT32_MAX;
	size_t n = 0;

	for (size_t i = 0; i < hosts->count; i++)
		if (hosts->list[i].preference < own && is_self(s, &hosts->list[i]))
			own = hosts->list[i].preference;
	for (size_t i = 0; i < hosts->count; i++)
		if (hosts->list[i].preference < own)
			hosts->list[n++] = hosts->list[i];
	*s->final = n < hosts->count;
	hosts->count = n;
	return n > 0 || loops_back(s);
}

static bool find_by_host(struct search *s)
{
	struct dns_answer answer;

	if (!net_parse_ip(str_c(s->to->host), 0, &(struct net_addr){0}) &&
		!address_valid_hostname(str_c(s->to->host)))
		return fail(s, DSN_FAILED, "5.4.4",
			pool_printf(s->d->pool,
				"Host or domain name not found: \"%s\" is not a valid host name",
				s->to->host));
	lookup_addresses(s, s->to->host, &answer);
	if (answer.status != DNS_OK)
		return addresses_failed(s, s->to->host, &answer);
	add_addresses(s, s->to->host, 0, &answer);
	return !s->out->detect_loop || drop_self(s);
}

static int by_preference(const void *left, const void *right)
{
	const struct dns_record *a = left, *b = right;

	return (a->preference > b->preference) - (a->preference < b->preference);
}

static void soften(struct dsn *d)
{
	d->action = DSN_DELAYED;
	d->status[0] = '4';
}

/* The hosts of the MX records; one that cannot be looked up leaves the others. */
static bool find_by_mx(struct search *s, struct dns_answer *mx)
{
	bool soft = s->d->client->cfg->smtp_defer_if_no_mx_address_found;
	struct dns_answer answer;

	qsort(mx->records, mx->count, sizeof(*mx->records), by_preference);
	for (size_t i = 0; i < mx->count; i++) {
		lookup_addresses(s, mx->records[i].text, &answer);
		if (answer.status == DNS_OK) {
			add_addresses(s, mx->records[i].text, mx->records[i].preference, &answer);
			continue;
		}
		addresses_failed(s, mx->records[i].text, &answer);
		soft = soft || is_soft(&answer);
	}
	if (s->out->count > 0)
		return !s->out->detect_loop || drop_self(s);
	log_warning("no MX host for %s has a valid address record", s->to->host);
	if (soft)
		soften(*s->why);
	return false;
}

static bool find_by_domain(struct search *s)
{
	const struct config *cfg = s->d->client->cfg;
	struct dns_answer mx;

	if (!address_valid_hostname(str_c(s->to->host)))
		return find_by_host(s);
	dns_lookup(s->d->dns, s->d->pool, s->to->host, DNS_MX, &mx);
	dns_filter(&s->d->client->dns_filter, s->d->pool, s->to->host, &mx);
	if (mx.null_mx)
		return fail(s, DSN_FAILED, "5.1.0",
			pool_printf(s->d->pool, "Domain %s does not accept mail (nullMX)", s->to->host));
	s->out->secure = mx.secure;
	if (mx.status == DNS_OK)
		return find_by_mx(s, &mx);
	if ((mx.status == DNS_RETRY || mx.status == DNS_INVALID) && !cfg->ignore_mx_lookup_error)
		return lookup_failed(s, s->to->host, "MX", &mx);
	return find_by_host(s);
}

static void mark_best(struct smtp_hosts *hosts)
{
	int best = INT32_MAX;

	for (size_t i = 0; i < hosts->count; i++)
		if (hosts->list[i].preference < best)
			best = hosts->list[i].preference;
	for (size_t i = 0; i < hosts->count; i++)
		hosts->list[i].best = hosts->list[i].preference == best;
}

bool smtp_hosts_find(struct smtp_delivery *d, const struct smtp_destination *to, struct smtp_hosts *out,
	struct dsn **why, bool *final)
{
	struct search s = {d, to, out, why, final};
	bool mx = to->lookup_mx && d->client->lookup_mx;

	*final = false;
	*out = (struct smtp_hosts){.detect_loop = !d->client->lmtp && to->port == SMTP_PORT, .secure = !mx};
	if (!(mx ? find_by_domain(&s) : find_by_host(&s)))
		return false;
	mark_best(out);
	smtp_hosts_order(d->client->cfg, out);
	return true;
}
