#include <ares.h>
#include <poll.h>

#include "base/clock.h"
#include "base/sys.h"
#include "dns/dns_internal.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define HOSTS_FILE "/etc/hosts"
#define RESOLV_CONF_MAX 65536u
#define TIMEOUT_SECONDS 5 /* resolv.conf(5): options timeout, attempts, and their ceilings */
#define TIMEOUT_SECONDS_MAX 30
#define ATTEMPTS 2
#define ATTEMPTS_MAX 5
#define OVERALL_SECONDS 100 /* for one question whatever the settings */
#define EDNS_BYTES 1232	    /* DNS flag day 2020: fits every path */
#define QUERIES_MAX 2

struct settings {
	int timeout, attempts; /* seconds, rounds */
	bool rotate;
	bool trust_ad;
	uint16_t port;
};

struct dns {
	ares_channel channel;
	struct settings settings;
	struct dns_hosts *hosts;
	struct dns_domains *domains;
	bool owns_files; /* hosts and domains */
};

/* One question under way; lives on the stack of the lookup, which waits until it is done. */
struct query {
	struct pool *pool;
	const char *name;
	enum dns_type type;
	struct dns_answer *out;
	bool done;
};

static void parse_option(struct settings *s, struct str word)
{
	uint64_t n;

	if (str_is(word, "rotate"))
		s->rotate = true;
	else if (str_is(word, "trust-ad"))
		s->trust_ad = true;
	else if (str_starts(word, STR("timeout:")) &&
		 str_to_u64(str_from(word, 8), TIMEOUT_SECONDS_MAX, &n) && n > 0)
		s->timeout = (int)n;
	else if (str_starts(word, STR("attempts:")) && str_to_u64(str_from(word, 9), ATTEMPTS_MAX, &n) &&
		 n > 0)
		s->attempts = (int)n;
}

static void read_line(struct settings *s, struct dns_domains *domains, struct str keyword, struct str line)
{
	struct str word;

	if (!str_is(keyword, "options"))
		dns_domains_read(domains, keyword, line);
	else
		while (str_word(&line, " \t\r", &word))
			parse_option(s, word);
}

/* The options that c-ares does not know or names otherwise; it reads the servers itself. */
static void read_settings(const char *path, struct settings *s, struct dns_domains *domains)
{
	struct buf file = BUF(RESOLV_CONF_MAX);
	struct str rest, line, word;

	if (sys_read_file(path, &file, NULL)) {
		rest = buf_slice(&file);
		while (str_word(&rest, "\n", &line))
			if (str_word(&line, " \t\r", &word))
				read_line(s, domains, word, line);
	}
	buf_free(&file);
}

static bool make_channel(struct dns *d, const char *resolv_conf, struct err *err)
{
	char path[4096];
	struct ares_options o = {
		.flags = ARES_FLAG_EDNS,
		.ednspsz = EDNS_BYTES,
		.timeout = d->settings.timeout * 1000,
		.tries = d->settings.attempts,
		.udp_port = d->settings.port,
		.tcp_port = d->settings.port,
		.resolvconf_path = path,
	};
	int mask =
		ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_RESOLVCONF;
	int status;

	snprintf(path, sizeof(path), "%s", resolv_conf);
	mask |= d->settings.rotate ? ARES_OPT_ROTATE : ARES_OPT_NOROTATE;
	if (d->settings.port)
		mask |= ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT;
	status = ares_init_options(&d->channel, &o, mask);
	if (status == ARES_SUCCESS)
		return true;
	return err_set(err, "cannot start the resolver: %s", ares_strerror(status));
}

static bool loopback_server(const struct ares_addr_port_node *server)
{
	static const unsigned char v6_loopback[16] = {[15] = 1};

	if (server->family == AF_INET)
		return *(const unsigned char *)&server->addr == 127;
	return server->family == AF_INET6 && memcmp(&server->addr, v6_loopback, sizeof(v6_loopback)) == 0;
}

/* What a resolver says about DNSSEC counts only if nobody can have changed it on the way. */
static bool only_loopback(ares_channel channel)
{
	struct ares_addr_port_node *servers = NULL;
	bool all = true;

	if (ares_get_servers_ports(channel, &servers) != ARES_SUCCESS)
		return false;
	for (const struct ares_addr_port_node *s = servers; s; s = s->next)
		all = all && loopback_server(s);
	all = all && servers;
	ares_free_data(servers);
	return all;
}

struct dns *dns_open(const struct dns_options *options, struct err *err)
{
	const char *resolv_conf = options->resolv_conf ? options->resolv_conf : RESOLV_CONF;
	struct dns *d = x_alloc(sizeof(*d));

	d->settings =
		(struct settings){.timeout = TIMEOUT_SECONDS, .attempts = ATTEMPTS, .port = options->port};
	d->owns_files = true;
	d->domains = dns_domains_new();
	read_settings(resolv_conf, &d->settings, d->domains);
	dns_domains_default(d->domains);
	if (!make_channel(d, resolv_conf, err)) {
		dns_free(&d);
		return NULL;
	}
	d->settings.trust_ad = d->settings.trust_ad || only_loopback(d->channel);
	d->hosts = dns_hosts_read(options->hosts ? options->hosts : HOSTS_FILE);
	return d;
}

struct dns *dns_new(struct err *err)
{
	return dns_open(&(struct dns_options){0}, err);
}

static bool copy_servers(struct dns *d, const struct dns *origin, struct err *err)
{
	struct ares_addr_port_node *servers = NULL;
	int status = ares_get_servers_ports(origin->channel, &servers);

	if (status == ARES_SUCCESS)
		status = ares_set_servers_ports(d->channel, servers);
	ares_free_data(servers);
	if (status == ARES_SUCCESS)
		return true;
	return err_set(err, "cannot copy the resolver: %s", ares_strerror(status));
}

struct dns *dns_clone(const struct dns *origin, struct err *err)
{
	struct dns *d = x_alloc(sizeof(*d));

	d->settings = origin->settings;
	d->hosts = origin->hosts;
	d->domains = origin->domains;
	if (make_channel(d, RESOLV_CONF, err) && copy_servers(d, origin, err))
		return d;
	dns_free(&d);
	return NULL;
}

void dns_free(struct dns **d)
{
	if (!*d)
		return;
	if ((*d)->channel)
		ares_destroy((*d)->channel);
	if ((*d)->owns_files) {
		dns_hosts_free(&(*d)->hosts);
		x_free(&(*d)->domains);
	}
	x_free(d);
}

static void answered(void *arg, int status, int timeouts, unsigned char *message, int size)
{
	struct query *q = arg;

	q->done = true;
	if (status == ARES_SUCCESS && message && size > 0)
		dns_parse(
			q->pool, (struct str){(const char *)message, (size_t)size}, q->name, q->type, q->out);
}

/* Asks with a random id and the AD bit set (RFC 6840 section 5.7), which c-ares' own query function leaves
 * out. */
static void ask(struct dns *d, struct query *q, unsigned short id)
{
	unsigned char *message = NULL;
	int size = 0;

	dns_answer_init(q->out, DNS_RETRY, q->name);
	if (!dns_name_askable(str_c(q->name)) || ares_create_query(q->name, 1, (int)q->type, id, 1, &message,
							 &size, EDNS_BYTES) != ARES_SUCCESS) {
		dns_answer_init(q->out, DNS_INVALID, q->name);
		q->done = true;
		return;
	}
	message[3] |= 0x20;
	ares_send(d->channel, message, size, answered, q);
	ares_free_string(message);
}

static int wait_ms(struct dns *d, int64_t deadline)
{
	struct timeval most = {TIMEOUT_SECONDS_MAX, 0}, room;
	const struct timeval *t = ares_timeout(d->channel, &most, &room);
	int64_t ms = t->tv_sec * INT64_C(1000) + t->tv_usec / 1000 + 1;
	int left = clock_left_ms(deadline);

	return left < ms ? left : (int)ms;
}

static void turn(struct dns *d, int64_t deadline)
{
	ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
	struct pollfd fds[ARES_GETSOCK_MAXNUM];
	int mask = ares_getsock(d->channel, sockets, ARES_GETSOCK_MAXNUM);
	nfds_t n = 0;

	for (; n < ARES_GETSOCK_MAXNUM; n++) {
		int wanted = (ARES_GETSOCK_READABLE(mask, n) ? POLLIN : 0) |
			     (ARES_GETSOCK_WRITABLE(mask, n) ? POLLOUT : 0);

		if (!wanted)
			break;
		fds[n] = (struct pollfd){.fd = sockets[n], .events = (short)wanted};
	}
	if (poll(fds, n, wait_ms(d, deadline)) <= 0) {
		ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
		return;
	}
	for (nfds_t i = 0; i < n; i++)
		if (fds[i].revents)
			ares_process_fd(d->channel, fds[i].revents & ~POLLOUT ? fds[i].fd : ARES_SOCKET_BAD,
				fds[i].revents & POLLOUT ? fds[i].fd : ARES_SOCKET_BAD);
}

static void ask_all(struct dns *d, struct query *q, size_t n)
{
	int64_t deadline = deadline_in(OVERALL_SECONDS);
	unsigned short id;

	sys_random(&id, sizeof(id));
	for (size_t i = 0; i < n; i++)
		ask(d, &q[i], (unsigned short)(id + i));
	for (size_t i = 0; i < n; i++)
		while (!q[i].done) {
			turn(d, deadline);
			if (clock_mono() >= deadline)
				ares_cancel(d->channel);
		}
	for (size_t i = 0; i < n; i++)
		q[i].out->secure = q[i].out->secure && d->settings.trust_ad;
}

void dns_lookup(
	struct dns *d, struct pool *pool, const char *name, enum dns_type type, struct dns_answer *out)
{
	struct query q = {pool, name, type, out, false};

	ask_all(d, &q, 1);
}

static bool literal_address(
	struct pool *pool, const char *name, bool want_v4, bool want_v6, struct dns_answer *out)
{
	struct dns_record r = {.name = name};

	if (!net_parse_ip(str_c(name), 0, &r.address))
		return false;
	r.type = r.address.ss.ss_family == AF_INET ? DNS_A : DNS_AAAA;
	if (!(r.type == DNS_A ? want_v4 : want_v6)) {
		dns_answer_init(out, DNS_NO_DATA, name);
		return true;
	}
	dns_answer_init(out, DNS_OK, name);
	dns_answer_append(pool, out, &r, 1);
	return true;
}

/*
 * Two answers as one: addresses of both; without any, the one that leaves most hope decides. It is secure
 * when what was found is: a question that got no answer must not take security away.
 */
static void merge(struct pool *pool, const struct dns_answer *parts, size_t n, struct dns_answer *out)
{
	static const enum dns_status order[] = {DNS_OK, DNS_RETRY, DNS_INVALID, DNS_NO_DATA, DNS_NOT_FOUND};
	size_t last = n;

	for (size_t o = 0; last == n && o < sizeof(order) / sizeof(order[0]); o++)
		for (size_t i = 0; i < n; i++)
			if (parts[i].status == order[o])
				last = i;
	*out = parts[last < n ? last : 0];
	if (out->status != DNS_OK)
		return;
	out->records = NULL;
	out->count = 0;
	for (size_t i = 0; i < n; i++) {
		if (parts[i].status != DNS_OK)
			continue;
		dns_answer_append(pool, out, parts[i].records, parts[i].count);
		out->secure = out->secure && parts[i].secure;
	}
}

void dns_addresses(struct dns *d, struct pool *pool, const char *name, bool want_v4, bool want_v6,
	struct dns_answer *out)
{
	struct dns_answer parts[QUERIES_MAX];
	struct query q[QUERIES_MAX];
	size_t n = 0;

	if (literal_address(pool, name, want_v4, want_v6, out))
		return;
	if (want_v4)
		q[n] = (struct query){pool, name, DNS_A, &parts[n], false}, n++;
	if (want_v6)
		q[n] = (struct query){pool, name, DNS_AAAA, &parts[n], false}, n++;
	if (n == 0) {
		dns_answer_init(out, DNS_NO_DATA, name);
		return;
	}
	ask_all(d, q, n);
	merge(pool, parts, n, out);
}

void dns_native_addresses(struct dns *d, struct pool *pool, const char *name, bool want_v4, bool want_v6,
	struct dns_answer *out)
{
	dns_answer_init(out, DNS_OK, name);
	if (!dns_hosts_addresses(d->hosts, pool, name, want_v4, want_v6, out))
		dns_addresses(d, pool, name, want_v4, want_v6, out);
}

const struct dns_hosts *dns_hosts_of(const struct dns *d)
{
	return d->hosts;
}

const struct dns_domains *dns_domains_of(const struct dns *d)
{
	return d->domains;
}
