/* Short names: the domains of resolv.conf behind them. */
#include <unistd.h>

#include "dns/dns_internal.h"

#define HOST_NAME_BYTES 256

struct dns_domains {
	char names[DNS_DOMAINS_MAX][DNS_NAME_MAX];
	size_t count;
};

struct dns_domains *dns_domains_new(void)
{
	return x_alloc(sizeof(struct dns_domains));
}

void dns_domains_read(struct dns_domains *d, struct str keyword, struct str line)
{
	struct str word;

	if (!str_is(keyword, "search") && !str_is(keyword, "domain"))
		return;
	d->count = 0;
	while (d->count < DNS_DOMAINS_MAX && str_word(&line, " \t\r", &word)) {
		if (!dns_name_askable(word))
			continue;
		snprintf(d->names[d->count++], DNS_NAME_MAX, STR_FMT, STR_ARG(word));
		if (str_is(keyword, "domain"))
			return;
	}
}

void dns_domains_default(struct dns_domains *d)
{
	char host[HOST_NAME_BYTES] = "";
	const char *dot;

	if (d->count > 0 || gethostname(host, sizeof(host) - 1) != 0)
		return;
	dot = strchr(host, '.');
	if (dot && dns_name_askable(str_c(dot + 1)))
		snprintf(d->names[d->count++], DNS_NAME_MAX, "%s", dot + 1);
}

/* How many of the domains may stand behind the name. */
static size_t domains_for(const struct dns_domains *d, struct str name, int how)
{
	if (str_ends(name, STR(".")) || d->count == 0)
		return 0;
	if (str_find(name, '.') >= 0)
		return how & DNS_SEARCH_PARENTS ? d->count : 0;
	if (!(how & DNS_APPEND_DOMAIN))
		return 0;
	return how & DNS_SEARCH_PARENTS ? d->count : 1;
}

static bool is_answer(const struct dns_answer *a)
{
	return a->status == DNS_OK;
}

/* Of answers without what was asked for, the one that leaves most hope counts. */
static void keep_better(struct dns_answer *best, const struct dns_answer *next)
{
	if (is_answer(next) || (best->status == DNS_NOT_FOUND && next->status != DNS_NOT_FOUND) ||
		(best->status != DNS_RETRY && next->status == DNS_RETRY))
		*best = *next;
}

void dns_search_addresses(struct dns *d, struct pool *pool, const char *name, bool want_v4, bool want_v6,
	int how, struct dns_answer *out)
{
	const struct dns_domains *domains = dns_domains_of(d);
	size_t n = domains_for(domains, str_c(name), how);
	bool dotted = strchr(name, '.') != NULL;
	struct net_addr literal;
	struct dns_answer next;

	if (n == 0 || net_parse_ip(str_c(name), 0, &literal)) {
		dns_addresses(d, pool, name, want_v4, want_v6, out);
		return;
	}
	dns_answer_init(out, DNS_NOT_FOUND, name);
	if (dotted)
		dns_addresses(d, pool, name, want_v4, want_v6, out);
	for (size_t i = 0; i < n && !is_answer(out); i++) {
		const char *longer = pool_printf(pool, "%s.%s", name, domains->names[i]);

		dns_addresses(d, pool, longer, want_v4, want_v6, &next);
		keep_better(out, &next);
	}
	if (!dotted && !is_answer(out)) {
		dns_addresses(d, pool, name, want_v4, want_v6, &next);
		keep_better(out, &next);
	}
}
