#include "smtp/smtp_destination.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <netdb.h>

#include "mail/address.h"

#define PORT_NAME_MAX 32

/* Names that must be known where /etc/services cannot be reached. */
static const struct {
	const char *name;
	uint16_t port;
} known_ports[] = {
	{"smtp", 25}, {"lmtp", 24}, {"submission", 587}, {"submissions", 465}, {"smtps", 465}, {"urd", 465}};

static bool port_by_service(const char *name, uint16_t *port)
{
	struct servent entry, *found = NULL;
	char room[2048];

	if (getservbyname_r(name, "tcp", &entry, room, sizeof(room), &found) != 0 || !found)
		return false;
	*port = ntohs((uint16_t)found->s_port);
	return true;
}

bool smtp_port(struct str text, uint16_t *port)
{
	char name[PORT_NAME_MAX];
	uint64_t n;

	if (str_to_u64(text, UINT16_MAX, &n)) {
		*port = (uint16_t)n;
		return n > 0;
	}
	for (size_t i = 0; i < sizeof(known_ports) / sizeof(known_ports[0]); i++)
		if (str_is(text, known_ports[i].name)) {
			*port = known_ports[i].port;
			return true;
		}
	if (text.n == 0 || text.n >= sizeof(name))
		return false;
	memcpy(name, text.p, text.n);
	name[text.n] = '\0';
	return port_by_service(name, port);
}

/* Splits "[host]:port", "[host]", "host:port" and "host"; port is empty when there is none. */
static bool split(struct str text, struct str *host, struct str *port, bool *bracketed)
{
	ptrdiff_t end;

	*port = (struct str){"", 0};
	*bracketed = text.n > 0 && text.p[0] == '[';
	if (*bracketed) {
		end = str_find(text, ']');
		if (end < 0)
			return false;
		*host = str_first(str_from(text, 1), (size_t)end - 1);
		text = str_from(text, (size_t)end + 1);
		if (text.n > 0 && text.p[0] != ':')
			return false;
	} else {
		end = str_rfind(text, ':');
		*host = end < 0 ? text : str_first(text, (size_t)end);
		text = str_from(text, host->n);
	}
	*port = str_from(text, 1);
	return host->n > 0 && (text.n == 0 || port->n > 0);
}

static const char *ascii_name(struct pool *pool, struct str host, bool idna2003, struct err *err)
{
	char *name = pool_strndup(pool, host.p, host.n), *ascii = NULL;
	int status;

	if (!str_has_8bit(host))
		return name;
	status = idn2_to_ascii_8z(name, &ascii, idna2003 ? IDN2_TRANSITIONAL : IDN2_NONTRANSITIONAL);
	if (status != IDN2_OK) {
		err_set(err, "domain name %s cannot be converted to ASCII: %s", name, idn2_strerror(status));
		return NULL;
	}
	name = pool_strdup(pool, ascii);
	idn2_free(ascii);
	return name;
}

static bool parse_inet(struct pool *pool, struct str text, bool lmtp, bool idna2003, uint16_t default_port,
	struct smtp_destination *out, struct err *err)
{
	struct str host, port;
	bool bracketed;

	if (str_has_nul(text) || !split(text, &host, &port, &bracketed))
		return err_set(err, "bad destination: " STR_FMT, STR_ARG(text));
	out->port = default_port;
	if (port.n > 0 && !smtp_port(port, &out->port))
		return err_set(err, "unknown port in destination: " STR_FMT, STR_ARG(text));
	if (bracketed && str_case_starts(host, STR("ipv6:")))
		host = str_from(host, 5);
	out->lookup_mx = !bracketed && !lmtp;
	out->host = ascii_name(pool, host, idna2003, err);
	return out->host;
}

bool smtp_destination_parse(struct pool *pool, struct str text, bool lmtp, bool idna2003,
	uint16_t default_port, struct smtp_destination *out, struct err *err)
{
	*out = (struct smtp_destination){0};
	if (lmtp && str_starts(text, STR("unix:"))) {
		text = str_from(text, 5);
		if (text.n == 0 || str_has_nul(text))
			return err_set(err, "bad destination: no path after unix:");
		out->path = pool_strndup(pool, text.p, text.n);
		return true;
	}
	if (lmtp && str_starts(text, STR("inet:")))
		text = str_from(text, 5);
	return parse_inet(pool, text, lmtp, idna2003, default_port, out, err);
}
