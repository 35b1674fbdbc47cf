#include "base/net.h"

#include "base/clock.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/un.h>
#include <unistd.h>

static const struct sockaddr_in *in4(const struct net_addr *a)
{
	return (const struct sockaddr_in *)(const void *)&a->ss;
}

static const struct sockaddr_in6 *in6(const struct net_addr *a)
{
	return (const struct sockaddr_in6 *)(const void *)&a->ss;
}

static void set_in4(struct net_addr *out, const struct in_addr *ip, uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = *ip};

	memset(out, 0, sizeof(*out));
	memcpy(&out->ss, &sin, sizeof(sin));
	out->len = sizeof(sin);
}

static void set_in6(struct net_addr *out, const struct in6_addr *ip, uint16_t port)
{
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = *ip};

	memset(out, 0, sizeof(*out));
	memcpy(&out->ss, &sin6, sizeof(sin6));
	out->len = sizeof(sin6);
}

bool net_parse_ip(struct str text, uint16_t port, struct net_addr *out)
{
	char printed[NET_HOST_MAX];
	struct in_addr ip4;
	struct in6_addr ip6;

	if (text.n == 0 || text.n >= sizeof(printed) || str_has_nul(text))
		return false;
	memcpy(printed, text.p, text.n);
	printed[text.n] = '\0';
	if (inet_pton(AF_INET, printed, &ip4) == 1) {
		set_in4(out, &ip4, port);
		return true;
	}
	if (inet_pton(AF_INET6, printed, &ip6) != 1)
		return false;
	set_in6(out, &ip6, port);
	net_unmap(out);
	return true;
}

void net_unmap(struct net_addr *a)
{
	struct in_addr ip4;
	uint16_t port;

	if (a->ss.ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&in6(a)->sin6_addr))
		return;
	memcpy(&ip4, &in6(a)->sin6_addr.s6_addr[12], sizeof(ip4));
	port = net_port(a);
	set_in4(a, &ip4, port);
}

const char *net_host(const struct net_addr *a, char out[NET_HOST_MAX])
{
	const void *ip = NULL;

	if (a->ss.ss_family == AF_INET)
		ip = &in4(a)->sin_addr;
	else if (a->ss.ss_family == AF_INET6)
		ip = &in6(a)->sin6_addr;
	if (!ip || !inet_ntop(a->ss.ss_family, ip, out, NET_HOST_MAX))
		snprintf(out, NET_HOST_MAX, "unknown");
	return out;
}

const char *net_text(const struct net_addr *a, char out[NET_TEXT_MAX])
{
	const struct sockaddr_un *un = (const void *)&a->ss;
	char host[NET_HOST_MAX];

	if (a->ss.ss_family == AF_UNIX)
		snprintf(out, NET_TEXT_MAX, "%.*s", (int)sizeof(un->sun_path), un->sun_path);
	else
		snprintf(out, NET_TEXT_MAX, "[%s]:%u", net_host(a, host), net_port(a));
	return out;
}

uint16_t net_port(const struct net_addr *a)
{
	if (a->ss.ss_family == AF_INET)
		return ntohs(in4(a)->sin_port);
	if (a->ss.ss_family == AF_INET6)
		return ntohs(in6(a)->sin6_port);
	return 0;
}

bool net_is_loopback(const struct net_addr *a)
{
	if (a->ss.ss_family == AF_INET)
		return ntohl(in4(a)->sin_addr.s_addr) >> 24 == 127;
	return a->ss.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6(a)->sin6_addr);
}

bool net_same_host(const struct net_addr *a, const struct net_addr *b)
{
	if (a->ss.ss_family != b->ss.ss_family)
		return false;
	if (a->ss.ss_family == AF_INET)
		return in4(a)->sin_addr.s_addr == in4(b)->sin_addr.s_addr;
	return a->ss.ss_family == AF_INET6 && IN6_ARE_ADDR_EQUAL(&in6(a)->sin6_addr, &in6(b)->sin6_addr);
}

bool net_peer(int fd, struct net_addr *out)
{
	memset(out, 0, sizeof(*out));
	out->len = sizeof(out->ss);
	if (getpeername(fd, (struct sockaddr *)&out->ss, &out->len) < 0)
		return false;
	net_unmap(out);
	return true;
}

bool net_local(int fd, struct net_addr *out)
{
	memset(out, 0, sizeof(*out));
	out->len = sizeof(out->ss);
	if (getsockname(fd, (struct sockaddr *)&out->ss, &out->len) < 0)
		return false;
	net_unmap(out);
	return true;
}

bool net_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);
	int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;

	if (flags < 0)
		return false;
	return wanted == flags || fcntl(fd, F_SETFL, wanted) == 0;
}

int net_wait(int fd, short events, int64_t deadline)
{
	for (;;) {
		struct pollfd pfd = {.fd = fd, .events = events};
		int n = poll(&pfd, 1, clock_left_ms(deadline));

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 && clock_left_ms(deadline) != 0)
			continue;
		return n;
	}
}
