#include <ifaddrs.h>
#include <netdb.h>

#include "base/mem.h"
#include "rewrite/own_address.h"

struct own_addresses {
	struct net_addr *list;
	size_t count;
};

static void own_add(struct own_addresses *own, const struct sockaddr *sa, socklen_t len)
{
	struct net_addr *a;

	own->list = x_realloc(own->list, (own->count + 1) * sizeof(*own->list));
	a = &own->list[own->count++];
	*a = (struct net_addr){.len = len};
	memcpy(&a->ss, sa, len);
	net_unmap(a);
}

static bool own_add_interfaces(struct own_addresses *own, bool loopback_only, struct err *err)
{
	struct ifaddrs *list, *i;

	if (getifaddrs(&list) != 0)
		return err_errno(err, "list the network interfaces");
	for (i = list; i; i = i->ifa_next) {
		int family = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;
		socklen_t len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

		if (family != AF_INET && family != AF_INET6)
			continue;
		own_add(own, i->ifa_addr, len);
		if (loopback_only && !net_is_loopback(&own->list[own->count - 1]))
			own->count--;
	}
	freeifaddrs(list);
	return true;
}

/* A name that does not resolve is left out: the name service may be down while we start. */
static void own_add_host(struct own_addresses *own, const char *name)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *list, *i;

	if (getaddrinfo(name, NULL, &hints, &list) != 0)
		return;
	for (i = list; i; i = i->ai_next)
		own_add(own, i->ai_addr, i->ai_addrlen);
	freeaddrinfo(list);
}

static struct str without_brackets(struct str word)
{
	if (word.n > 2 && word.p[0] == '[' && word.p[word.n - 1] == ']')
		word = str_first(str_from(word, 1), word.n - 2);
	return str_case_starts(word, STR("ipv6:")) ? str_from(word, 5) : word;
}

static void own_add_word(struct own_addresses *own, struct str word)
{
	struct net_addr addr;
	char *name;

	word = without_brackets(word);
	if (net_parse_ip(word, 0, &addr)) {
		own_add(own, (const struct sockaddr *)&addr.ss, addr.len);
		return;
	}
	name = x_strndup(word.p, word.n);
	own_add_host(own, name);
	x_free(&name);
}

static bool own_add_list(struct own_addresses *own, const char *list, struct err *err)
{
	struct str rest = str_c(list), word;

	while (str_word(&rest, ", \t\r\n", &word)) {
		bool loopback = str_case_is(word, "loopback-only");

		if (!loopback && !str_case_is(word, "all"))
			own_add_word(own, word);
		else if (!own_add_interfaces(own, loopback, err))
			return false;
	}
	return true;
}

struct own_addresses *own_addresses_new(const struct config *cfg, struct err *err)
{
	struct own_addresses *own = x_alloc(sizeof(*own));

	if (!own_add_list(own, cfg->inet_interfaces, err) || !own_add_list(own, cfg->proxy_interfaces, err))
		own_addresses_free(&own);
	return own;
}

void own_addresses_free(struct own_addresses **own)
{
	if (!*own)
		return;
	x_free(&(*own)->list);
	x_free(own);
}

bool own_addresses_have(const struct own_addresses *own, const struct net_addr *a)
{
	for (size_t i = 0; i < own->count; i++)
		if (net_same_host(a, &own->list[i]))
			return true;
	return false;
}
