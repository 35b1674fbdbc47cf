#include "table/cidr_index.h"

#include "base/mem.h"
#include <netinet/in.h>

/* An address as a number; IPv4 fills the uppermost bits. */
struct point {
	uint64_t high, low;
};

struct network {
	struct point first, last;
	size_t number; /* while cutting: the smallest of this and of all around it */
};

struct range {
	struct point first; /* up to the next range's */
	size_t number;
};

/* Of one address family. */
struct networks {
	struct network *list;
	size_t count, room;
	struct range *ranges;
	size_t range_count;
};

struct cidr_index {
	struct networks v4, v6;
};

struct cidr_index *cidr_index_new(void)
{
	return x_alloc(sizeof(struct cidr_index));
}

void cidr_index_free(struct cidr_index **xp)
{
	struct cidr_index *x = *xp;

	if (!x)
		return;
	x_free(&x->v4.list);
	x_free(&x->v4.ranges);
	x_free(&x->v6.list);
	x_free(&x->v6.ranges);
	x_free(xp);
}

static int compare(const struct point *a, const struct point *b)
{
	if (a->high != b->high)
		return a->high < b->high ? -1 : 1;
	return a->low < b->low ? -1 : a->low > b->low;
}

static uint64_t big_endian(const unsigned char *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < 8; i++)
		v = v << 8 | (i < n ? p[i] : 0);
	return v;
}

static struct point point_of(const unsigned char *addr, int family)
{
	if (family == AF_INET)
		return (struct point){big_endian(addr, 4), 0};
	return (struct point){big_endian(addr, 8), big_endian(addr + 8, 8)};
}

static uint64_t ones_after(int bits)
{
	return bits <= 0 ? UINT64_MAX : bits >= 64 ? 0 : UINT64_MAX >> bits;
}

void cidr_index_add(struct cidr_index *x, const struct net_cidr *net, size_t number)
{
	struct networks *n = net->family == AF_INET ? &x->v4 : &x->v6;
	struct network *added;

	if (n->count == n->room) {
		n->room = n->room ? 2 * n->room : 16;
		n->list = x_realloc(n->list, n->room * sizeof(*n->list));
	}
	added = &n->list[n->count++];
	added->first = point_of(net->addr, net->family);
	added->last.high = added->first.high | ones_after(net->bits);
	added->last.low = added->first.low | ones_after(net->bits - 64);
	added->number = number;
}

/* By the first address; what contains others comes before them. */
static int network_order(const void *left, const void *right)
{
	const struct network *a = left, *b = right;
	int order = compare(&a->first, &b->first);

	return order ? order : compare(&b->last, &a->last);
}

static void start_range(struct networks *n, struct point first, size_t number)
{
	struct range *last = n->range_count ? &n->ranges[n->range_count - 1] : NULL;

	if (last && compare(&last->first, &first) == 0)
		last->number = number;
	else
		n->ranges[n->range_count++] = (struct range){first, number};
}

/* What begins after the network's end has the number of what is around it. */
static void end_network(struct networks *n, const struct network *ended, const struct network *around)
{
	struct point next = {ended->last.high + (ended->last.low == UINT64_MAX), ended->last.low + 1};

	if (next.high || next.low)
		start_range(n, next, around ? around->number : CIDR_INDEX_NONE);
}

static void cut(struct networks *n)
{
	/* Open networks lie within each other: no more than prefix lengths, and the same one more than once.
	 */
	struct network **open = x_alloc((n->count + 1) * sizeof(struct network *));
	size_t depth = 0;

	qsort(n->list, n->count, sizeof(*n->list), network_order);
	n->ranges = x_alloc((2 * n->count + 1) * sizeof(*n->ranges));
	for (size_t i = 0; i <= n->count; i++) {
		struct network *now = i < n->count ? &n->list[i] : NULL;

		while (depth && (!now || compare(&open[depth - 1]->last, &now->first) < 0)) {
			depth--;
			end_network(n, open[depth], depth ? open[depth - 1] : NULL);
		}
		if (!now)
			break;
		if (depth && open[depth - 1]->number < now->number)
			now->number = open[depth - 1]->number;
		start_range(n, now->first, now->number);
		open[depth++] = now;
	}
	x_free(&open);
	x_free(&n->list);
}

void cidr_index_finish(struct cidr_index *x)
{
	if (x->v4.count)
		cut(&x->v4);
	if (x->v6.count)
		cut(&x->v6);
}

static size_t find(const struct networks *n, struct point at)
{
	size_t low = 0, high = n->range_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(&n->ranges[middle].first, &at) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? n->ranges[low - 1].number : CIDR_INDEX_NONE;
}

size_t cidr_index_find(const struct cidr_index *x, const struct net_addr *a)
{
	const void *address = &a->ss;

	if (a->ss.ss_family == AF_INET) {
		const struct sockaddr_in *v4 = address;

		return find(&x->v4, point_of((const unsigned char *)&v4->sin_addr, AF_INET));
	}
	return find(&x->v6, point_of(((const struct sockaddr_in6 *)address)->sin6_addr.s6_addr, AF_INET6));
}
