#include "config/defaults.h"

#include "base/mem.h"
#include "base/net.h"
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>

#define NETWORKS_MAX 65536

enum style { STYLE_CLASS, STYLE_SUBNET, STYLE_HOST };

struct networks {
	enum style style;
	bool ipv4, ipv6, all, loopback;
	struct net_addr *own; /* of inet_interfaces, when it is a list */
	size_t own_count;
	struct buf text;
};

char *default_myhostname(const char *mydomain)
{
	char host[256] = "localhost";

	gethostname(host, sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	if (strchr(host, '.'))
		return x_strdup(host);
	return x_asprintf("%s.%s", host, mydomain && *mydomain ? mydomain : "localdomain");
}

char *default_mydomain(const char *myhostname)
{
	const char *dot = strchr(myhostname, '.');

	return x_strdup(dot ? dot + 1 : "localdomain");
}

static bool parse_style(const char *text, enum style *style, struct err *err)
{
	static const char *const names[] = {"class", "subnet", "host"};

	for (int i = 0; i < 3; i++) {
		if (ascii_casecmp(text, names[i]) == 0) {
			*style = (enum style)i;
			return true;
		}
	}
	return err_set(err, "unknown mynetworks mask style value \"%s\" in \"%s\"", text, text);
}

static bool parse_protocols(struct networks *n, const char *text, struct err *err)
{
	struct str rest = str_c(text), word;

	while (str_word(&rest, ", \t\r\n", &word)) {
		if (str_case_is(word, "all"))
			n->ipv4 = n->ipv6 = true;
		else if (str_case_is(word, "ipv4"))
			n->ipv4 = true;
		else if (str_case_is(word, "ipv6"))
			n->ipv6 = true;
		else
			return err_set(err, "unknown inet_protocols value \"" STR_FMT "\" in \"%s\"",
				STR_ARG(word), text);
	}
	return true;
}

static void add_own(struct networks *n, const struct net_addr *a)
{
	n->own = x_realloc(n->own, (n->own_count + 1) * sizeof(*n->own));
	n->own[n->own_count++] = *a;
}

static void add_own_name(struct networks *n, struct str word)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
	char *name = x_strndup(word.p, word.n);

	if (getaddrinfo(name, NULL, &hints, &list) == 0) {
		for (struct addrinfo *ai = list; ai; ai = ai->ai_next) {
			struct net_addr a = {.len = ai->ai_addrlen};

			memcpy(&a.ss, ai->ai_addr, ai->ai_addrlen);
			add_own(n, &a);
		}
		freeaddrinfo(list);
	}
	x_free(&name);
}

static void parse_interfaces(struct networks *n, const char *text)
{
	struct str rest = str_c(text), word;

	while (str_word(&rest, ", \t\r\n", &word)) {
		struct net_addr a;

		if (word.n > 2 && word.p[0] == '[' && word.p[word.n - 1] == ']')
			word = (struct str){word.p + 1, word.n - 2};
		if (str_case_is(word, "all"))
			n->all = true;
		else if (str_case_is(word, "loopback-only"))
			n->loopback = true;
		else if (net_parse_ip(word, 0, &a))
			add_own(n, &a);
		else
			add_own_name(n, word);
	}
}

static bool is_own(const struct networks *n, const struct net_addr *a)
{
	if (n->all || (n->loopback && net_is_loopback(a)))
		return true;
	for (size_t i = 0; i < n->own_count; i++) {
		if (net_same_host(&n->own[i], a))
			return true;
	}
	return false;
}

static int mask_bits(const unsigned char *mask, size_t bytes)
{
	int bits = 0;

	while (bits < (int)bytes * 8 && (mask[bits / 8] & (0x80 >> (bits % 8))))
		bits++;
	return bits;
}

static int class_bits(unsigned char first)
{
	return first < 128 ? 8 : first < 192 ? 16 : 24;
}

static void clear_host_bits(unsigned char *addr, size_t bytes, int bits)
{
	for (int i = bits; i < (int)bytes * 8; i++)
		addr[i / 8] &= (unsigned char)~(0x80 >> (i % 8));
}

static bool already(const struct networks *n, const char *net)
{
	struct str rest = buf_slice(&n->text), word;

	while (str_word(&rest, " ", &word)) {
		if (str_is(word, net))
			return true;
	}
	return false;
}

static void add_network(struct networks *n, struct net_addr a, int bits)
{
	char host[NET_HOST_MAX], net[NET_HOST_MAX + 8];
	bool v6 = a.ss.ss_family == AF_INET6;
	unsigned char *bytes = v6 ? ((struct sockaddr_in6 *)&a.ss)->sin6_addr.s6_addr
				  : (unsigned char *)&((struct sockaddr_in *)&a.ss)->sin_addr;

	clear_host_bits(bytes, v6 ? 16 : 4, bits);
	if (v6)
		((struct sockaddr_in6 *)&a.ss)->sin6_scope_id = 0;
	snprintf(net, sizeof(net), v6 ? "[%s]/%d" : "%s/%d", net_host(&a, host), bits);
	if (already(n, net))
		return;
	if (n->text.len)
		buf_putc(&n->text, ' ');
	buf_puts(&n->text, net);
}

static void add_ipv4(struct networks *n, const struct net_addr *a, const struct ifaddrs *ifa)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)&a->ss;
	const struct sockaddr_in *mask = (const struct sockaddr_in *)(const void *)ifa->ifa_netmask;
	int bits = 32;

	if (n->style == STYLE_CLASS)
		bits = class_bits(*(const unsigned char *)&sin->sin_addr);
	else if (n->style == STYLE_SUBNET && mask)
		bits = mask_bits((const unsigned char *)&mask->sin_addr, 4);
	add_network(n, *a, bits);
}

static void add_ipv6(struct networks *n, const struct net_addr *a, const struct ifaddrs *ifa)
{
	const struct sockaddr_in6 *mask = (const struct sockaddr_in6 *)(const void *)ifa->ifa_netmask;

	add_network(n, *a, n->style != STYLE_HOST && mask ? mask_bits(mask->sin6_addr.s6_addr, 16) : 128);
}

static void add_interface(struct networks *n, const struct ifaddrs *ifa)
{
	int family = ifa->ifa_addr ? ifa->ifa_addr->sa_family : AF_UNSPEC;
	struct net_addr a = {
		.len = family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)};

	if ((family != AF_INET || !n->ipv4) && (family != AF_INET6 || !n->ipv6))
		return;
	memcpy(&a.ss, ifa->ifa_addr, a.len);
	if (!is_own(n, &a))
		return;
	if (family == AF_INET)
		add_ipv4(n, &a, ifa);
	else
		add_ipv6(n, &a, ifa);
}

char *default_mynetworks(
	const char *style, const char *inet_interfaces, const char *inet_protocols, struct err *err)
{
	struct networks n = {.text = BUF(NETWORKS_MAX)};
	struct ifaddrs *list = NULL;

	if (!parse_style(style, &n.style, err) || !parse_protocols(&n, inet_protocols, err))
		return NULL;
	parse_interfaces(&n, inet_interfaces);
	if (getifaddrs(&list) < 0)
		list = NULL;
	/* IPv4 first, as lists of addresses are read by people */
	for (int family = AF_INET;; family = AF_INET6) {
		for (struct ifaddrs *i = list; i; i = i->ifa_next) {
			if (i->ifa_addr && i->ifa_addr->sa_family == family)
				add_interface(&n, i);
		}
		if (family == AF_INET6)
			break;
	}
	if (list)
		freeifaddrs(list);
	x_free(&n.own);
	return buf_take(&n.text);
}
