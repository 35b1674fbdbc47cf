#include <netdb.h>

#include "base/net.h"

#define HOST_BYTES_MAX 255
#define PORT_BYTES_MAX 32

/* Splits "host:port" or "[host]:port". */
static bool split(struct str text, char host[HOST_BYTES_MAX + 1], char port[PORT_BYTES_MAX + 1])
{
	ptrdiff_t colon = str_rfind(text, ':');
	struct str name, number;

	if (colon <= 0)
		return false;
	name = str_first(text, (size_t)colon);
	number = str_from(text, (size_t)colon + 1);
	if (name.n > 2 && name.p[0] == '[' && name.p[name.n - 1] == ']')
		name = str_first(str_from(name, 1), name.n - 2);
	if (name.n > HOST_BYTES_MAX || number.n == 0 || number.n > PORT_BYTES_MAX)
		return false;
	memcpy(host, name.p, name.n);
	host[name.n] = '\0';
	memcpy(port, number.p, number.n);
	port[number.n] = '\0';
	return true;
}

static int connect_any(const struct addrinfo *list, int64_t deadline, struct err *err)
{
	for (const struct addrinfo *a = list; a; a = a->ai_next) {
		struct net_addr to = {.len = a->ai_addrlen};
		int fd;

		if (a->ai_addrlen > sizeof(to.ss))
			continue;
		memcpy(&to.ss, a->ai_addr, a->ai_addrlen);
		fd = net_connect(&to, NULL, deadline, err);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

static int connect_inet(const char *text, int64_t deadline, struct err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *list = NULL;
	char host[HOST_BYTES_MAX + 1], port[PORT_BYTES_MAX + 1];
	int problem, fd;

	if (!split(str_c(text), host, port)) {
		err_set(err, "%s: host:port is wanted", text);
		return -1;
	}
	if (net_parse_ip(str_c(host), 0, &(struct net_addr){0}))
		hints.ai_flags = AI_NUMERICHOST;
	problem = getaddrinfo(host, port, &hints, &list);
	if (problem) {
		err_set(err, "%s: %s", text, gai_strerror(problem));
		return -1;
	}
	err_set(err, "%s: no address", text);
	fd = connect_any(list, deadline, err);
	freeaddrinfo(list);
	return fd;
}

int net_connect_endpoint(const char *endpoint, int64_t deadline, struct err *err)
{
	if (str_starts(str_c(endpoint), STR("inet:")))
		return connect_inet(endpoint + 5, deadline, err);
	if (str_starts(str_c(endpoint), STR("unix:")))
		endpoint += 5;
	return net_connect_unix(endpoint, deadline, err);
}
