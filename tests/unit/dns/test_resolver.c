/* The resolver against a name server in a thread of this process, on a port of 127.0.0.1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sys.h"
#include "dns/dns.h"

/* Answers by the question's first label; anything else gets NXDOMAIN. */
struct fake {
	int fd;
	uint16_t port;
	pthread_t thread;
	char resolv_conf[64], hosts[64];
	struct dns *dns;
};

struct answer {
	const char *label;
	unsigned char type;
	int rcode; /* -1: silence */
	const char *data;
	size_t n;
};

static const struct answer answers[] = {
	{"both", DNS_A, 0, "\300\000\002\007", 4},
	{"both", DNS_AAAA, 0, "\040\001\015\270\000\000\000\000\000\000\000\000\000\000\000\007", 16},
	{"four", DNS_A, 0, "\300\000\002\010", 4},
	{"four", DNS_AAAA, 0, NULL, 0},
	{"half", DNS_A, 0, "\300\000\002\011", 4},
	{"half", DNS_AAAA, 2, NULL, 0},
	{"sick", DNS_A, 2, NULL, 0},
	{"sick", DNS_AAAA, 0, NULL, 0},
	{"mute", DNS_A, -1, NULL, 0},
	{"7", DNS_PTR, 0, "\004both\007example\000", 14},
	{"8", DNS_PTR, 0, "\004both\007example\000", 14},
	{"9", DNS_PTR, 2, NULL, 0},
};

static const struct answer *choose(const unsigned char *q, size_t n)
{
	struct str label = {(const char *)q + 13, q[12]};
	size_t end = 12;

	while (end < n && q[end])
		end += 1u + q[end];
	for (size_t i = 0; end + 2 < n && i < sizeof(answers) / sizeof(answers[0]); i++)
		if (str_is(label, answers[i].label) && q[end + 2] == answers[i].type)
			return &answers[i];
	return NULL;
}

static size_t reply(unsigned char *m, size_t question, const struct answer *a)
{
	static const unsigned char fixed[] = {0xc0, 12, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0};
	size_t n = question;

	m[2] = 0x81;
	m[3] = (unsigned char)(0xa0 | (a ? a->rcode : 3));
	m[7] = a && a->data ? 1 : 0;
	memset(m + 8, 0, 4);
	if (m[7]) {
		memcpy(m + n, fixed, sizeof(fixed));
		m[n + 3] = a->type;
		m[n + 11] = (unsigned char)a->n;
		memcpy(m + n + sizeof(fixed), a->data, a->n);
		n += sizeof(fixed) + a->n;
	}
	return n;
}

static void *serve(void *arg)
{
	struct fake *f = arg;

	for (;;) {
		unsigned char m[1500];
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		ssize_t got = recvfrom(f->fd, m, 512, 0, (struct sockaddr *)&from, &len);
		size_t end = 12;
		const struct answer *a;

		if (got < 17)
			return NULL;
		assert_true(m[3] & 0x20);
		while (m[end])
			end += 1u + m[end];
		a = choose(m, (size_t)got);
		if (!a || a->rcode >= 0)
			sendto(f->fd, m, reply(m, end + 5, a), 0, (struct sockaddr *)&from, len);
	}
}

static void write_file(char path[64], const char *text)
{
	int fd;

	snprintf(path, 64, "/tmp/test_dns.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_true(sys_write_all(fd, text, strlen(text)));
	close(fd);
}

static int set_up(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	struct fake *f = x_alloc(sizeof(*f));
	struct err err;

	f->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->fd, (struct sockaddr *)&a, len), 0);
	getsockname(f->fd, (struct sockaddr *)&a, &len);
	f->port = ntohs(a.sin_port);
	write_file(f->resolv_conf,
		"search example.org\noptions timeout:1 attempts:1 nonsense:7\nnameserver 127.0.0.1\n");
	write_file(f->hosts, "# comment\n192.0.2.50 Listed.example listed # more\n::1 "
			     "ip6-localhost\n127.0.0.1 localhost\nx y\n");
	assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
	f->dns = dns_open(&(struct dns_options){f->resolv_conf, f->hosts, f->port}, &err);
	assert_non_null(f->dns);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fake *f = *state;
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(f->port)};

	sendto(f->fd, "", 0, 0, (struct sockaddr *)&a, sizeof(a));
	pthread_join(f->thread, NULL);
	close(f->fd);
	unlink(f->resolv_conf);
	unlink(f->hosts);
	dns_free(&f->dns);
	x_free(&f);
	return 0;
}

static void test_addresses(void **state)
{
	struct fake *f = *state;
	static const struct {
		const char *name;
		bool v4, v6;
		enum dns_status wanted;
		size_t count;
	} rows[] = {
		{"both.example", true, true, DNS_OK, 2},
		{"both.example", true, false, DNS_OK, 1},
		{"four.example", true, true, DNS_OK, 1},
		{"four.example", false, true, DNS_NO_DATA, 0},
		{"half.example", true, true, DNS_OK, 1},
		{"sick.example", true, true, DNS_RETRY, 0},
		{"none.example", true, true, DNS_NOT_FOUND, 0},
		{"192.0.2.99", true, true, DNS_OK, 1},
		{"192.0.2.99", false, true, DNS_NO_DATA, 0},
		{"a..example", true, true, DNS_INVALID, 0},
		{"", true, true, DNS_INVALID, 0},
		{"both.example", false, false, DNS_NO_DATA, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pool *pool = pool_new(1000);
		struct dns_answer a;

		dns_addresses(f->dns, pool, rows[i].name, rows[i].v4, rows[i].v6, &a);
		assert_int_equal(a.status, rows[i].wanted);
		assert_int_equal(a.count, rows[i].count);
		pool_free(&pool);
	}
}

static void test_secure(void **state)
{
	struct fake *f = *state;
	struct pool *pool = pool_new(1000);
	struct dns_answer a;

	dns_lookup(f->dns, pool, "four.example", DNS_A, &a);
	assert_true(a.secure);
	pool_free(&pool);
}

static void test_silence(void **state)
{
	struct fake *f = *state;
	struct pool *pool = pool_new(1000);
	int64_t begin = clock_mono();
	struct dns_answer a;

	dns_lookup(f->dns, pool, "mute.example", DNS_A, &a);
	assert_int_equal(a.status, DNS_RETRY);
	assert_string_equal(a.reason, "Host not found, try again");
	assert_true(clock_mono() - begin < 5 * NS_PER_SEC);
	pool_free(&pool);
}

static void test_native(void **state)
{
	struct fake *f = *state;
	struct pool *pool = pool_new(1000);
	struct dns_answer a;

	dns_native_addresses(f->dns, pool, "LISTED.example", true, true, &a);
	assert_int_equal(a.status, DNS_OK);
	assert_int_equal(a.count, 1);
	dns_native_addresses(f->dns, pool, "four.example", true, true, &a);
	assert_int_equal(a.count, 1);
	pool_free(&pool);
}

static void test_peer(void **state)
{
	struct fake *f = *state;
	static const struct {
		const char *address, *name, *reverse;
		enum dns_status wanted, reverse_wanted;
	} rows[] = {
		{"192.0.2.7", "both.example", "both.example", DNS_OK, DNS_OK},
		{"192.0.2.8", "unknown", "both.example", DNS_NOT_FOUND, DNS_OK},
		{"192.0.2.9", "unknown", "unknown", DNS_RETRY, DNS_RETRY},
		{"192.0.2.10", "unknown", "unknown", DNS_NOT_FOUND, DNS_NOT_FOUND},
		{"192.0.2.50", "Listed.example", "Listed.example", DNS_OK, DNS_OK},
		{"127.0.0.1", "localhost", "localhost", DNS_OK, DNS_OK},
		{"::1", "ip6-localhost", "ip6-localhost", DNS_OK, DNS_OK},
		{"2001:db8::9c", "unknown", "unknown", DNS_NOT_FOUND, DNS_NOT_FOUND},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pool *pool = pool_new(1000);
		enum dns_status status, reverse_status;
		const char *name, *reverse;
		struct net_addr peer;

		assert_true(net_parse_ip(str_c(rows[i].address), 25, &peer));
		status = dns_peer_name(f->dns, pool, &peer, &name, &reverse, &reverse_status);
		assert_int_equal(status, rows[i].wanted);
		assert_int_equal(reverse_status, rows[i].reverse_wanted);
		assert_string_equal(name, rows[i].name);
		assert_string_equal(reverse, rows[i].reverse);
		pool_free(&pool);
	}
}

static void *ask_much(void *arg)
{
	struct fake *f = arg;
	struct err err;
	struct dns *d = dns_clone(f->dns, &err);

	for (int i = 0; d && i < 200; i++) {
		struct pool *pool = pool_new(1000);
		struct dns_answer a;

		dns_addresses(d, pool, "both.example", true, true, &a);
		assert_int_equal(a.count, 2);
		pool_free(&pool);
	}
	dns_free(&d);
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_much, *state), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_secure),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_native),
		cmocka_unit_test(test_peer),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
