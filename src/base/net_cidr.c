/* Networks in CIDR notation, as mynetworks and cidr tables have them. */
#include "base/net.h"
#include <netinet/in.h>

static const void *ip_bytes(const struct net_addr *a)
{
	if (a->ss.ss_family == AF_INET)
		return &((const struct sockaddr_in *)(const void *)&a->ss)->sin_addr;
	return &((const struct sockaddr_in6 *)(const void *)&a->ss)->sin6_addr;
}

/* "[address/bits]" is "[address]/bits". */
static bool take_bracketed(struct str *rest, struct str *address)
{
	ptrdiff_t end = str_find(*rest, ']'), slash;

	if (end < 0)
		return false;
	*address = str_first(str_from(*rest, 1), (size_t)end - 1);
	*rest = str_from(*rest, (size_t)end + 1);
	slash = str_find(*address, '/');
	if (slash >= 0 && rest->n == 0) {
		*rest = str_from(*address, (size_t)slash);
		*address = str_first(*address, (size_t)slash);
	}
	return true;
}

/* Takes "[...]" or the text up to a slash off *rest. */
static bool take_address(struct str *rest, struct str *address)
{
	ptrdiff_t end;

	if (rest->n && rest->p[0] == '[')
		return take_bracketed(rest, address);
	end = str_find(*rest, '/');
	*address = end < 0 ? *rest : str_first(*rest, (size_t)end);
	*rest = str_from(*rest, address->n);
	return true;
}

static bool host_bits_zero(const struct net_cidr *net)
{
	int size = net->family == AF_INET ? 32 : 128;

	for (int bit = net->bits; bit < size; bit++) {
		if (net->addr[bit / 8] & 0x80 >> bit % 8)
			return false;
	}
	return true;
}

/* The number of bits behind the address: "/24", or nothing. Those of ::ffff:192.0.2.0/120 count from the
 * front of the long address. */
static bool take_bits(struct str rest, bool mapped, uint64_t size, uint64_t *bits)
{
	const uint64_t before = mapped ? 96 : 0;

	*bits = size;
	if (rest.n == 0)
		return true;
	if (rest.p[0] != '/' || !str_to_u64(str_from(rest, 1), before + size, bits) || *bits < before)
		return false;
	*bits -= before;
	return true;
}

bool net_parse_cidr(struct str text, struct net_cidr *out, struct err *err)
{
	struct str rest = text, address;
	struct net_addr a;
	uint64_t bits, size;
	bool mapped;

	if (!take_address(&rest, &address) || !net_parse_ip(address, 0, &a))
		return err_set(err, "bad network address: " STR_FMT, STR_ARG(text));
	size = a.ss.ss_family == AF_INET ? 32 : 128;
	mapped = size == 32 && str_find(address, ':') >= 0;
	if (!take_bits(rest, mapped, size, &bits))
		return err_set(err, "bad network mask: " STR_FMT, STR_ARG(text));
	memset(out, 0, sizeof(*out));
	out->family = a.ss.ss_family;
	out->bits = (int)bits;
	memcpy(out->addr, ip_bytes(&a), size / 8);
	if (!host_bits_zero(out))
		return err_set(err, "non-null host address bits in " STR_FMT, STR_ARG(text));
	return true;
}

bool net_cidr_match(const struct net_cidr *net, const struct net_addr *a)
{
	const unsigned char *ip;
	int whole = net->bits / 8, part = net->bits % 8;

	if (a->ss.ss_family != net->family)
		return false;
	ip = ip_bytes(a);
	if (memcmp(ip, net->addr, (size_t)whole) != 0)
		return false;
	return part == 0 || (ip[whole] ^ net->addr[whole]) >> (8 - part) == 0;
}
