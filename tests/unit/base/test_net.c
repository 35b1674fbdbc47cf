#include "base/clock.h"
#include "base/net.h"
#include "base/sys.h"
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

static void test_addresses(void **state)
{
	static const struct {
		const char *in, *host; /* host NULL: refused */
		bool loopback;
	} cases[] = {
		{"192.0.2.1", "192.0.2.1", false},
		{"127.255.0.1", "127.255.0.1", true},
		{"2001:DB8::1", "2001:db8::1", false},
		{"::1", "::1", true},
		{"::ffff:192.0.2.1", "192.0.2.1", false},
		{"[::1]", NULL, false},
		{"192.0.2", NULL, false},
		{"192.0.2.256", NULL, false},
		{"", NULL, false},
		{"localhost", NULL, false},
		{"1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111", NULL, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct net_addr a;
		char host[NET_HOST_MAX];

		assert_int_equal(net_parse_ip(str_c(cases[i].in), 25, &a), cases[i].host != NULL);
		if (!cases[i].host)
			continue;
		assert_string_equal(net_host(&a, host), cases[i].host);
		assert_int_equal(net_port(&a), 25);
		assert_int_equal(net_is_loopback(&a), cases[i].loopback);
	}
}

static void test_text(void **state)
{
	struct net_addr a, b;
	char text[NET_TEXT_MAX];

	assert_false(net_parse_ip(STR("127.0.0.1\0x"), 0, &a));
	assert_true(net_parse_ip(STR("2001:db8::1"), 2525, &a));
	assert_string_equal(net_text(&a, text), "[2001:db8::1]:2525");
	b = a;
	assert_true(net_same_host(&a, &b));
	assert_true(net_parse_ip(STR("192.0.2.1"), 1, &a));
	assert_false(net_same_host(&a, &b));
	assert_true(net_parse_ip(STR("::ffff:192.0.2.1"), 2, &b));
	assert_true(net_same_host(&a, &b));
	memset(&a, 0, sizeof(a));
	assert_string_equal(net_host(&a, text), "unknown");
}

static void test_cidr(void **state)
{
	static const struct {
		const char *net, *address;
		int match; /* -1: the network is refused */
	} cases[] = {
		{"192.0.2.0/24", "192.0.2.255", 1},
		{"192.0.2.0/24", "192.0.3.0", 0},
		{"192.0.2.128/25", "192.0.2.127", 0},
		{"192.0.2.128/25", "192.0.2.200", 1},
		{"192.0.2.1", "192.0.2.1", 1},
		{"192.0.2.1", "192.0.2.2", 0},
		{"0.0.0.0/0", "203.0.113.9", 1},
		{"0.0.0.0/0", "2001:db8::1", 0},
		{"[2001:db8::]/32", "2001:db8:ffff::1", 1},
		{"[2001:db8::]/33", "2001:db8:ffff::1", 0},
		{"2001:db8::/32", "2001:db9::1", 0},
		{"[::1]", "::1", 1},
		{"::/0", "::1", 1},
		{"[192.0.2.0/24]", "192.0.2.9", 1},
		{"[2001:db8::/32]", "2001:db8::9", 1},
		{"[::ffff:192.0.2.0]/120", "192.0.2.9", 1},
		{"::ffff:192.0.2.0/120", "192.0.3.9", 0},
		{"::ffff:192.0.2.1", "192.0.2.1", 1},
		{"::ffff:192.0.2.0/95", NULL, -1},
		{"::ffff:192.0.2.1/120", NULL, -1},
		{"[192.0.2.0/24]/24", NULL, -1},
		{"192.0.2.1/24", NULL, -1},
		{"192.0.2.0/33", NULL, -1},
		{"192.0.2.0/", NULL, -1},
		{"192.0.2.0/a", NULL, -1},
		{"192.0.2.0x", NULL, -1},
		{"[::1", NULL, -1},
		{"[]", NULL, -1},
		{"[::1]x", NULL, -1},
		{"", NULL, -1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct net_cidr net;
		struct net_addr a;
		struct err e;

		assert_int_equal(net_parse_cidr(str_c(cases[i].net), &net, &e), cases[i].match >= 0);
		if (cases[i].match < 0)
			continue;
		assert_true(net_parse_ip(str_c(cases[i].address), 0, &a));
		assert_int_equal(net_cidr_match(&net, &a), cases[i].match);
	}
}

static void test_connect_and_accept(void **state)
{
	struct net_addr a, peer, source;
	struct err e;
	char host[NET_HOST_MAX];
	int listener, client, server;

	assert_true(net_parse_ip(STR("127.0.0.1"), 0, &a));
	assert_true(net_parse_ip(STR("127.0.0.9"), 0, &source));
	listener = net_listen(&a, 10, &e);
	assert_true(listener >= 0);
	assert_true(net_local(listener, &a));
	assert_int_equal(net_accept(listener, &peer), -1);
	assert_int_equal(errno, EAGAIN);
	client = net_connect(&a, &source, deadline_in(5), &e);
	assert_true(client >= 0);
	assert_int_equal(net_wait(listener, POLLIN, deadline_in(5)), 1);
	server = net_accept(listener, &peer);
	assert_true(server >= 0);
	assert_string_equal(net_host(&peer, host), "127.0.0.9");
	assert_true(net_peer(client, &peer));
	assert_int_equal(net_port(&peer), net_port(&a));
	assert_int_equal(net_wait(server, POLLIN, clock_mono() + 10 * NS_PER_MS), 0);
	sys_close(&listener);
	sys_close(&client);
	sys_close(&server);
	assert_int_equal(net_connect(&a, NULL, deadline_in(5), &e), -1);
	assert_int_equal(errno, ECONNREFUSED);
	assert_false(net_peer(-1, &peer));
}

static void test_unix(void **state)
{
	char dir[] = "/tmp/test_net.XXXXXX", path[100], longer[200];
	struct err e;
	struct stat st;
	int fd, client;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	assert_int_equal(net_connect_unix(path, INT64_MAX, &e), -1);
	fd = net_listen_unix(path, 0666, 5, &e);
	assert_true(fd >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666);
	client = net_connect_unix(path, INT64_MAX, &e);
	assert_true(client >= 0);
	sys_close(&client);
	sys_close(&fd);
	fd = net_listen_unix(path, 0600, 5, &e);
	assert_true(fd >= 0);
	sys_close(&fd);
	assert_int_equal(unlink(path), 0);
	assert_true(sys_replace_file(path, STR("precious"), 0600, &e));
	assert_int_equal(net_listen_unix(path, 0600, 5, &e), -1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(net_listen_unix(longer, 0600, 5, &e), -1);
	assert_int_equal(net_connect_unix(longer, INT64_MAX, &e), -1);
}

/* Who listens and accepts nothing costs no more time than there is. */
static void test_unix_deadline(void **state)
{
	char dir[] = "/tmp/test_net.XXXXXX", path[100];
	int listener, clients[10], n = 0;
	struct err e;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	listener = net_listen_unix(path, 0600, 1, &e);
	assert_true(listener >= 0);
	while (n < 10 && (clients[n] = net_connect_unix(path, clock_mono() + 20 * NS_PER_MS, &e)) >= 0)
		n++;
	assert_in_range(n, 1, 9);
	assert_non_null(strstr(e.text, "timed out"));
	assert_int_equal(net_connect_unix(path, clock_mono() - 1, &e), -1);
	while (n > 0)
		sys_close(&clients[--n]);
	sys_close(&listener);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_cidr),
		cmocka_unit_test(test_connect_and_accept),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_unix_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
