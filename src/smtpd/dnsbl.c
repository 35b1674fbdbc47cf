#include "smtpd/dnsbl.h"

#include <netinet/in.h>

static void reverse_v4(const unsigned char *b, char out[DNSBL_REVERSED_MAX])
{
	snprintf(out, DNSBL_REVERSED_MAX, "%d.%d.%d.%d", b[3], b[2], b[1], b[0]);
}

static void reverse_v6(const unsigned char *b, char out[DNSBL_REVERSED_MAX])
{
	static const char hex[] = "0123456789abcdef";
	char *p = out;

	for (int i = 15; i >= 0; i--) {
		*p++ = hex[b[i] & 15];
		*p++ = '.';
		*p++ = hex[b[i] >> 4];
		*p++ = i > 0 ? '.' : '\0';
	}
}

bool dnsbl_reverse(const struct net_addr *addr, char out[DNSBL_REVERSED_MAX])
{
	if (addr->ss.ss_family == AF_INET)
		reverse_v4((const unsigned char *)&((const struct sockaddr_in *)&addr->ss)->sin_addr, out);
	else if (addr->ss.ss_family == AF_INET6)
		reverse_v6((const unsigned char *)&((const struct sockaddr_in6 *)&addr->ss)->sin6_addr, out);
	else
		return false;
	return true;
}

/* Takes the text up to a dot outside brackets off *rest. */
static struct str next_part(struct str *rest)
{
	int depth = 0;
	size_t n = 0;
	struct str part;

	for (; n < rest->n && (depth > 0 || rest->p[n] != '.'); n++)
		depth += (rest->p[n] == '[') - (rest->p[n] == ']');
	part = str_first(*rest, n);
	*rest = str_from(*rest, n + 1);
	return part;
}

/* "4" or "4..8". */
static bool in_range(struct str range, uint64_t value)
{
	const char *dots = range.n ? memmem(range.p, range.n, "..", 2) : NULL;
	uint64_t low, high;

	if (!dots)
		return str_to_u64(range, 255, &low) && low == value;
	return str_to_u64(str_first(range, (size_t)(dots - range.p)), 255, &low) &&
	       str_to_u64(str_from(range, (size_t)(dots - range.p) + 2), 255, &high) && low <= value &&
	       value <= high;
}

static bool part_matches(struct str part, struct str octet)
{
	struct str range;
	uint64_t value;

	if (!str_to_u64(octet, 255, &value))
		return false;
	if (part.n < 2 || part.p[0] != '[' || part.p[part.n - 1] != ']')
		return in_range(part, value);
	part = str_first(str_from(part, 1), part.n - 2);
	while (str_word(&part, ";", &range))
		if (in_range(range, value))
			return true;
	return false;
}

bool dnsbl_answer_counts(const char *answer, const char *filter)
{
	struct str address = str_c(answer), pattern = str_c(filter);

	if (!filter)
		return str_starts(address, STR("127."));
	for (int i = 0; i < 4; i++)
		if (!part_matches(next_part(&pattern), next_part(&address)))
			return false;
	return pattern.n == 0 && address.n == 0;
}
