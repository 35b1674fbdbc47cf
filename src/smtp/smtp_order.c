#include <stdlib.h>

#include "base/sys.h"
#include "smtp/smtp_hosts.h"

enum favour { FAVOUR_NONE, FAVOUR_V4, FAVOUR_V6 };

static bool is_v6(const struct smtp_host *h)
{
	return h->address.ss.ss_family == AF_INET6;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare(const void *left, const void *right, void *arg)
{
	const struct smtp_host *a = left, *b = right;
	enum favour favour = *(const enum favour *)arg;

	if (a->preference != b->preference)
		return compare_numbers((uint64_t)a->preference, (uint64_t)b->preference);
	if (favour != FAVOUR_NONE && is_v6(a) != is_v6(b))
		return is_v6(a) == (favour == FAVOUR_V6) ? -1 : 1;
	return compare_numbers(a->shuffle, b->shuffle);
}

static void number(struct smtp_hosts *hosts, bool randomize)
{
	for (size_t i = 0; i < hosts->count; i++) {
		if (randomize)
			sys_random(&hosts->list[i].shuffle, sizeof(hosts->list[i].shuffle));
		else
			hosts->list[i].shuffle = (uint32_t)i;
	}
}

/* How many of the first `n` are of the family. */
static size_t count_family(const struct smtp_hosts *hosts, size_t n, bool v6)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		found += is_v6(&hosts->list[i]) == v6;
	return found;
}

/*
 * Cuts the list to `limit`; when that would leave one address family only, up to half of the places go to the
 * best of the other, so that mail gets through where one of the protocols does not work.
 */
static void cut_balanced(struct smtp_hosts *hosts, size_t limit)
{
	bool first_v6 = is_v6(&hosts->list[0]);
	size_t others = count_family(hosts, hosts->count, !first_v6), kept = 0, room;

	if (others > limit / 2)
		others = limit / 2;
	if (count_family(hosts, limit, !first_v6) >= others) {
		hosts->count = limit;
		return;
	}
	room = limit - others;
	for (size_t i = 0; i < hosts->count; i++) {
		size_t *places = is_v6(&hosts->list[i]) == first_v6 ? &room : &others;

		if (*places == 0)
			continue;
		*places -= 1;
		hosts->list[kept++] = hosts->list[i];
	}
	hosts->count = kept;
}

void smtp_hosts_order(const struct config *cfg, struct smtp_hosts *hosts)
{
	enum favour favour = FAVOUR_NONE;
	size_t limit = (size_t)cfg->smtp_mx_address_limit;

	if (hosts->count < 2)
		return;
	if (strcmp(cfg->smtp_address_preference, "ipv6") == 0)
		favour = FAVOUR_V6;
	else if (strcmp(cfg->smtp_address_preference, "ipv4") == 0)
		favour = FAVOUR_V4;
	number(hosts, cfg->smtp_randomize_addresses);
	qsort_r(hosts->list, hosts->count, sizeof(*hosts->list), compare, &favour);
	if (limit == 0 || hosts->count <= limit)
		return;
	if (cfg->smtp_balance_inet_protocols)
		cut_balanced(hosts, limit);
	else
		hosts->count = limit;
}
