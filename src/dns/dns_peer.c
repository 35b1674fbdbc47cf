#include <netinet/in.h>

#include "dns/dns_internal.h"
#include "mail/address.h"

#define UNKNOWN "unknown"
#define REVERSE_MAX 80 /* 32 nibbles with dots, "ip6.arpa" and NUL */

static bool reverse_question(const struct net_addr *a, char out[REVERSE_MAX])
{
	const unsigned char *p;
	size_t n = 0;

	if (a->ss.ss_family == AF_INET) {
		p = (const unsigned char *)&((const struct sockaddr_in *)&a->ss)->sin_addr;
		snprintf(out, REVERSE_MAX, "%u.%u.%u.%u.in-addr.arpa", p[3], p[2], p[1], p[0]);
		return true;
	}
	if (a->ss.ss_family != AF_INET6)
		return false;
	p = (const unsigned char *)&((const struct sockaddr_in6 *)&a->ss)->sin6_addr;
	for (int i = 15; i >= 0; i--)
		n += (size_t)snprintf(out + n, REVERSE_MAX - n, "%x.%x.", p[i] & 15u, p[i] >> 4);
	snprintf(out + n, REVERSE_MAX - n, "ip6.arpa");
	return true;
}

static enum dns_status temporary_or_not(enum dns_status status)
{
	return status == DNS_RETRY ? DNS_RETRY : DNS_NOT_FOUND;
}

/* What the address claims to be called. */
static enum dns_status claimed_name(
	struct dns *d, struct pool *pool, const struct net_addr *peer, const char **name)
{
	const char *listed = dns_hosts_name(dns_hosts_of(d), peer);
	char question[REVERSE_MAX];
	struct dns_answer answer;

	if (listed && address_valid_hostname(str_c(listed))) {
		*name = listed;
		return DNS_OK;
	}
	if (!reverse_question(peer, question))
		return DNS_NOT_FOUND;
	dns_lookup(d, pool, pool_strdup(pool, question), DNS_PTR, &answer);
	if (answer.status != DNS_OK)
		return temporary_or_not(answer.status);
	*name = answer.records[0].text;
	return DNS_OK;
}

static bool lists_peer(const struct dns_answer *answer, const struct net_addr *peer)
{
	for (size_t i = 0; i < answer->count; i++)
		if (net_same_host(&answer->records[i].address, peer))
			return true;
	return false;
}

enum dns_status dns_peer_name(struct dns *d, struct pool *pool, const struct net_addr *peer,
	const char **name, const char **reverse, enum dns_status *reverse_status)
{
	bool v4 = peer->ss.ss_family == AF_INET;
	struct dns_answer answer;

	*name = *reverse = UNKNOWN;
	*reverse_status = claimed_name(d, pool, peer, reverse);
	if (*reverse_status != DNS_OK)
		return *reverse_status;
	dns_native_addresses(d, pool, *reverse, v4, !v4, &answer);
	if (answer.status != DNS_OK)
		return temporary_or_not(answer.status);
	if (!lists_peer(&answer, peer))
		return DNS_NOT_FOUND;
	*name = *reverse;
	return DNS_OK;
}
