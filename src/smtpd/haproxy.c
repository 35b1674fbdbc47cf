#include "smtpd/haproxy.h"

#include "base/clock.h"
#include "base/cursor.h"
#include <arpa/inet.h>
#include <ctype.h>

#define V1_MAX 107 /* bytes of a version 1 line, its end included */
#define V1_MIN 13  /* "PROXY UNKNOWN" */
#define V2_HEAD 16 /* signature, version and command, family, length */

static const char v2_signature[] = "\r\n\r\n\0\r\nQUIT\n";
#define V2_SIGNATURE (sizeof(v2_signature) - 1)

/* The header as the log shows it. */
static bool refuse(struct err *err, const char *reason, struct str header)
{
	struct buf shown = BUF(300);

	for (size_t i = 0; i < header.n; i++) {
		unsigned char c = (unsigned char)header.p[i];
		const char *at = c ? strchr("\a\b\f\n\r\t\v\\", c) : NULL;

		if (at)
			buf_printf(&shown, "\\%c", "abfnrtv\\"[at - "\a\b\f\n\r\t\v\\"]);
		else if (isprint(c) && c < 0x80)
			buf_putc(&shown, (char)c);
		else
			buf_printf(&shown, "\\%03o", c);
	}
	err_set(err, "%s: %s", reason, buf_cstr(&shown));
	buf_free(&shown);
	return false;
}

/* ---- version 1: "PROXY TCP4 192.0.2.1 192.0.2.2 1234 25\r\n" */

static bool v1_address(struct str *rest, int family, struct net_addr *out)
{
	struct str word;

	/* The kind is that of the text: an IPv4 address in IPv6 form has become IPv4. */
	return str_word(rest, " ", &word) && net_parse_ip(word, 0, out) &&
	       (str_find(word, ':') >= 0) == (family == AF_INET6);
}

static bool v1_port(struct str *rest, struct net_addr *addr)
{
	struct str word;
	uint64_t port;

	if (!str_word(rest, " ", &word) || !str_to_u64(word, 65535, &port))
		return false;
	if (addr->ss.ss_family == AF_INET)
		((struct sockaddr_in *)&addr->ss)->sin_port = htons((uint16_t)port);
	else
		((struct sockaddr_in6 *)&addr->ss)->sin6_port = htons((uint16_t)port);
	return true;
}

static const char *v1_addresses(struct str rest, int family, struct haproxy *out)
{
	if (!v1_address(&rest, family, &out->client))
		return "bad or missing client address";
	if (!v1_address(&rest, family, &out->server))
		return "bad or missing server address";
	if (!v1_port(&rest, &out->client))
		return "bad or missing client port";
	if (!v1_port(&rest, &out->server))
		return "bad or missing server port";
	out->has_addresses = true;
	return NULL;
}

static const char *v1_fields(struct str line, struct haproxy *out)
{
	struct str word;

	if (line.n < V1_MIN)
		return "short protocol header";
	if (!str_word(&line, " ", &word) || !str_is(word, "PROXY"))
		return "unexpected protocol header";
	if (!str_word(&line, " ", &word))
		return "missing protocol type";
	if (str_is(word, "TCP4"))
		return v1_addresses(line, AF_INET, out);
	if (str_is(word, "TCP6"))
		return v1_addresses(line, AF_INET6, out);
	return str_is(word, "UNKNOWN") ? NULL : "bad or missing protocol type";
}

static ssize_t v1_parse(struct str in, struct haproxy *out, struct err *err)
{
	ptrdiff_t lf = str_find(str_first(in, V1_MAX), '\n');
	const char *problem;
	struct str header;

	if (lf < 0 && in.n < V1_MAX)
		return 0;
	if (lf < 0)
		return refuse(err, "missing protocol header terminator", str_first(in, V1_MAX)) - 1;
	header = str_first(in, (size_t)lf + 1);
	if (lf == 0 || in.p[lf - 1] != '\r')
		return refuse(err, "missing protocol header terminator", header) - 1;
	problem = v1_fields(str_first(in, (size_t)lf - 1), out);
	if (problem)
		return refuse(err, problem, header) - 1;
	return lf + 1;
}

/* ---- version 2: binary */

static void v2_address(struct cursor *c, int family, struct net_addr *addr)
{
	size_t n = family == AF_INET ? 4 : 16;
	struct str bytes;

	*addr = (struct net_addr){0};
	addr->ss.ss_family = (sa_family_t)family;
	if (!cursor_bytes(c, n, &bytes))
		return;
	if (family == AF_INET) {
		addr->len = sizeof(struct sockaddr_in);
		memcpy(&((struct sockaddr_in *)&addr->ss)->sin_addr, bytes.p, n);
	} else {
		addr->len = sizeof(struct sockaddr_in6);
		memcpy(&((struct sockaddr_in6 *)&addr->ss)->sin6_addr, bytes.p, n);
	}
}

/* Ports are in network order on the wire. */
static void v2_port(struct cursor *c, struct net_addr *addr)
{
	struct str bytes;
	uint16_t port;

	if (!cursor_bytes(c, 2, &bytes))
		return;
	memcpy(&port, bytes.p, sizeof(port));
	if (addr->ss.ss_family == AF_INET)
		((struct sockaddr_in *)&addr->ss)->sin_port = port;
	else
		((struct sockaddr_in6 *)&addr->ss)->sin6_port = port;
}

static const char *v2_addresses(struct str body, int family, struct haproxy *out)
{
	struct cursor c = cursor_of(body.p, body.n);

	v2_address(&c, family, &out->client);
	v2_address(&c, family, &out->server);
	v2_port(&c, &out->client);
	v2_port(&c, &out->server);
	if (c.bad)
		return "short address field";
	net_unmap(&out->client);
	net_unmap(&out->server);
	out->has_addresses = true;
	return NULL;
}

static const char *v2_fields(struct str in, struct str body, struct haproxy *out)
{
	unsigned char command = (unsigned char)in.p[12], family = (unsigned char)in.p[13];

	if (command == 0x20) /* LOCAL: the load balancer speaks for itself */
		return NULL;
	if (command != 0x21)
		return "bad command in proxy header";
	if (family == 0x11)
		return v2_addresses(body, AF_INET, out);
	if (family == 0x21)
		return v2_addresses(body, AF_INET6, out);
	return "unsupported network protocol";
}

static ssize_t v2_parse(struct str in, struct haproxy *out, struct err *err)
{
	size_t length;
	const char *problem;
	struct str header;

	if (in.n < V2_HEAD)
		return 0;
	length = (size_t)(unsigned char)in.p[14] << 8 | (unsigned char)in.p[15];
	if (V2_HEAD + length > HAPROXY_HEADER_MAX)
		return refuse(err, "too long proxy header", str_first(in, V2_HEAD)) - 1;
	if (in.n < V2_HEAD + length)
		return 0;
	header = str_first(in, V2_HEAD + length);
	problem = v2_fields(header, str_from(header, V2_HEAD), out);
	if (problem)
		return refuse(err, problem, header) - 1;
	return (ssize_t)header.n;
}

ssize_t haproxy_parse(struct str in, struct haproxy *out, struct err *err)
{
	size_t known = in.n < V2_SIGNATURE ? in.n : V2_SIGNATURE;

	*out = (struct haproxy){0};
	if (in.n == 0)
		return 0;
	if (memcmp(in.p, v2_signature, known) != 0)
		return v1_parse(in, out, err);
	/* A version 2 signature comes in one piece; an empty line alone is neither version. */
	if (in.n == 2)
		return v1_parse(in, out, err);
	return in.n < V2_SIGNATURE ? 0 : v2_parse(in, out, err);
}

bool haproxy_read(struct stream *s, int seconds, struct haproxy *out, struct err *err)
{
	char header[HAPROXY_HEADER_MAX];
	int64_t deadline = deadline_in(seconds);
	ssize_t used = 0;

	while (used == 0) {
		int left = clock_left_ms(deadline);

		if (left == 0 || stream_fill(s, left) == 0)
			return err_set(err, "timeout error");
		if (stream_status(s) != STREAM_OK)
			return err_set(err, "EOF");
		used = haproxy_parse(stream_peek(s), out, err);
	}
	return used > 0 && stream_read_exact(s, header, (size_t)used) == STREAM_OK;
}
