#include "master/address.h"

#include <netdb.h>
#include <netinet/in.h>

#include "base/mem.h"

#define SEPARATORS ", \t\r\n"
#define LIST_MAX 256
#define PORT_MAX 65535

uint16_t address_known_port(const char *known_ports, struct str name)
{
	struct str rest = str_c(known_ports), group;
	uint64_t port;

	while (str_word(&rest, SEPARATORS, &group)) {
		ptrdiff_t last = str_rfind(group, '=');
		struct str names = str_first(group, last > 0 ? (size_t)last : 0), word;

		if (last < 0 || !str_to_u64(str_from(group, (size_t)last + 1), PORT_MAX, &port))
			continue;
		while (str_word(&names, "=", &word)) {
			if (str_eq(word, name))
				return (uint16_t)port;
		}
	}
	return 0;
}

static bool port_number(const struct address_settings *s, struct str name, uint16_t *port, struct err *err)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE},
			*list = NULL;
	char text[64];
	uint64_t number;

	*port = address_known_port(s->known_ports, name);
	if (*port)
		return true;
	snprintf(text, sizeof text, STR_FMT, STR_ARG(name));
	if (str_to_u64(name, UINT64_MAX, &number)) {
		*port = (uint16_t)number;
		return (number > 0 && number <= PORT_MAX) || err_set(err, "bad port \"%s\"", text);
	}
	if (name.n == 0 || name.n >= sizeof text || getaddrinfo(NULL, text, &hints, &list) != 0)
		return err_set(err, "unknown service or bad port \"%s\"", text);
	*port = ntohs(((struct sockaddr_in *)(void *)list->ai_addr)->sin_port);
	freeaddrinfo(list);
	return true;
}

static bool has_word(const char *list, const char *wanted)
{
	struct str rest = str_c(list), word;

	while (str_word(&rest, SEPARATORS, &word)) {
		if (str_case_is(word, wanted))
			return true;
	}
	return false;
}

static bool family_wanted(const struct address_settings *s, int family)
{
	return has_word(s->protocols, "all") || has_word(s->protocols, family == AF_INET6 ? "ipv6" : "ipv4");
}

bool address_family_optional(const struct address_settings *s, const struct net_addr *a)
{
	return a->ss.ss_family == AF_INET6 && has_word(s->protocols, "all");
}

static bool same(const struct net_addr *a, const struct net_addr *b)
{
	return net_port(a) == net_port(b) && net_same_host(a, b);
}

static void add(struct address_list *l, const struct net_addr *a)
{
	for (size_t i = 0; i < l->count; i++) {
		if (same(&l->list[i], a))
			return;
	}
	if (l->count == LIST_MAX)
		return;
	l->list = x_realloc(l->list, (l->count + 1) * sizeof *l->list);
	l->list[l->count++] = *a;
}

static bool add_literal(
	const struct address_settings *s, const char *host, uint16_t port, struct address_list *out)
{
	struct net_addr a;

	if (!net_parse_ip(str_c(host), port, &a) || !family_wanted(s, a.ss.ss_family))
		return false;
	add(out, &a);
	return true;
}

static struct str without_brackets(struct str host)
{
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = str_first(str_from(host, 1), host.n - 2);
	if (str_case_starts(host, STR("ipv6:")))
		host = str_from(host, 5);
	return host;
}

static void set_port(struct net_addr *a, uint16_t port)
{
	if (a->ss.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&a->ss)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)&a->ss)->sin_port = htons(port);
}

static bool add_info(
	const struct address_settings *s, const struct addrinfo *i, uint16_t port, struct address_list *out)
{
	struct net_addr a = {.len = i->ai_addrlen};

	if (i->ai_addrlen > sizeof a.ss || (i->ai_family != AF_INET && i->ai_family != AF_INET6) ||
		!family_wanted(s, i->ai_family))
		return false;
	memcpy(&a.ss, i->ai_addr, i->ai_addrlen);
	set_port(&a, port);
	add(out, &a);
	return true;
}

static bool add_name(const struct address_settings *s, const char *name, uint16_t port,
	struct address_list *out, bool *usable, struct err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	int problem = getaddrinfo(name, NULL, &hints, &list);

	if (problem)
		return err_set(err, "host %s: %s", name, gai_strerror(problem));
	for (const struct addrinfo *i = list; i; i = i->ai_next)
		*usable |= add_info(s, i, port, out);
	freeaddrinfo(list);
	return true;
}

/* An address of a family that inet_protocols leaves out is no error. */
static bool add_host(const struct address_settings *s, struct str text, uint16_t port,
	struct address_list *out, struct err *err)
{
	struct str host = without_brackets(text);
	bool usable = false;
	char name[256];

	if (host.n >= sizeof name)
		return err_set(err, "host name is too long");
	snprintf(name, sizeof name, STR_FMT, STR_ARG(host));
	if (net_parse_ip(host, port, &(struct net_addr){0}))
		usable = add_literal(s, name, port, out);
	else if (!add_name(s, name, port, out, &usable, err))
		return false;
	return usable || family_wanted(s, AF_INET) != family_wanted(s, AF_INET6) ||
	       err_set(err, "host %s: no usable address", name);
}

static bool add_interfaces(
	const struct address_settings *s, uint16_t port, struct address_list *out, struct err *err)
{
	struct str rest = str_c(s->interfaces), word;

	while (str_word(&rest, SEPARATORS, &word)) {
		if (str_case_is(word, "all")) {
			add_literal(s, "0.0.0.0", port, out);
			add_literal(s, "::", port, out);
		} else if (str_case_is(word, "loopback-only")) {
			add_literal(s, "127.0.0.1", port, out);
			add_literal(s, "::1", port, out);
		} else if (!add_host(s, word, port, out, err)) {
			return err_prefix(err, "inet_interfaces");
		}
	}
	return true;
}

/* The colon that ends the host: the last one, unless it is inside the brackets of an IPv6 address. */
static ptrdiff_t port_colon(struct str service)
{
	ptrdiff_t colon = str_rfind(service, ':'), bracket = str_rfind(service, ']');

	return colon > bracket ? colon : -1;
}

bool address_resolve(
	const struct address_settings *s, const char *service, struct address_list *out, struct err *err)
{
	struct str text = str_c(service);
	ptrdiff_t colon = port_colon(text);
	struct str host = str_first(text, colon > 0 ? (size_t)colon : 0);
	uint16_t port;
	bool ok;

	*out = (struct address_list){0};
	if (!port_number(s, str_from(text, (size_t)(colon + 1)), &port, err))
		return false;
	ok = host.n > 0 ? add_host(s, host, port, out, err) : add_interfaces(s, port, out, err);
	if (!ok)
		address_list_free(out);
	return ok;
}

void address_list_free(struct address_list *l)
{
	x_free(&l->list);
	l->count = 0;
}
