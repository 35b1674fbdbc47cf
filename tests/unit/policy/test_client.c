/* Connections: which is used again, and when one ends. The server is a thread that counts. */
#include "policy/policy.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/net.h"
#include "base/stream.h"
#include "base/sys.h"

#define CONNECTIONS_MAX 32

/* Answers each request with the number of its connection and of the request in it. */
struct server {
	char endpoint[64];
	int listener, stop[2];
	pthread_t thread;
	atomic_int connections;
	atomic_int close_after; /* requests in one connection; 0: any number */
	atomic_bool hang_up;	/* instead of answering */
	struct stream *io[CONNECTIONS_MAX];
	int requests[CONNECTIONS_MAX];
};

static void take_request(struct server *s, int n)
{
	enum line_end end;
	struct str line;

	while (stream_line(s->io[n], 1000, &line, &end) == STREAM_OK && line.n > 0)
		;
	if (stream_status(s->io[n]) == STREAM_OK && !s->hang_up) {
		stream_printf(s->io[n], "action=%d.%d\n\n", n + 1, ++s->requests[n]);
		stream_flush(s->io[n]);
	}
	if (stream_status(s->io[n]) != STREAM_OK || s->hang_up || s->requests[n] == s->close_after)
		stream_free(&s->io[n]);
}

static void accept_one(struct server *s)
{
	struct net_addr peer;
	int fd = net_accept(s->listener, &peer);

	if (fd < 0)
		return;
	s->io[s->connections] = stream_new(fd);
	stream_set_timeout(s->io[s->connections++], 10, false);
}

static void *serve(void *arg)
{
	struct server *s = arg;
	struct pollfd fds[CONNECTIONS_MAX + 2];

	for (;;) {
		int count = s->connections;

		fds[0] = (struct pollfd){.fd = s->stop[0], .events = POLLIN};
		fds[1] = (struct pollfd){.fd = s->listener, .events = POLLIN};
		for (int i = 0; i < count; i++)
			fds[i + 2] =
				(struct pollfd){.fd = s->io[i] ? stream_fd(s->io[i]) : -1, .events = POLLIN};
		poll(fds, (nfds_t)count + 2, -1);
		if (fds[0].revents)
			return NULL;
		for (int i = 0; i < count; i++)
			if (fds[i + 2].revents)
				take_request(s, i);
		if (fds[1].revents)
			accept_one(s);
	}
}

static void server_start(struct server *s)
{
	struct net_addr a;
	struct err err;

	*s = (struct server){.listener = -1};
	assert_true(net_parse_ip(STR("127.0.0.1"), 0, &a));
	s->listener = net_listen(&a, 16, &err);
	assert_true(s->listener >= 0 && net_local(s->listener, &a));
	snprintf(s->endpoint, sizeof(s->endpoint), "inet:127.0.0.1:%d", net_port(&a));
	assert_int_equal(pipe(s->stop), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_end(struct server *s)
{
	assert_int_equal(write(s->stop[1], "x", 1), 1);
	pthread_join(s->thread, NULL);
	for (int i = 0; i < CONNECTIONS_MAX; i++)
		stream_free(&s->io[i]);
	sys_close(&s->listener);
	sys_close(&s->stop[0]);
	sys_close(&s->stop[1]);
}

static struct policy_options options_of(const struct server *s)
{
	return (struct policy_options){.endpoint = s->endpoint,
		.default_action = "",
		.context = "",
		.timeout = 10,
		.max_idle = 100,
		.max_ttl = 100,
		.try_limit = 1};
}

static void expect(struct policy_client *client, uint64_t owner, const char *answer)
{
	struct buf action = BUF(100);
	struct err err = {""};

	if (!policy_ask(client, owner, STR("request=x\n"), &action, &err))
		fail_msg("%s", err.text);
	assert_string_equal(buf_cstr(&action), answer);
	buf_free(&action);
}

static void expect_failure(struct policy_client *client, const char *why)
{
	struct buf action = BUF(100);
	struct err err = {""};

	assert_false(policy_ask(client, 0, STR("request=x\n"), &action, &err));
	if (!strstr(err.text, why))
		fail_msg("%s: not in: %s", why, err.text);
	buf_free(&action);
}

static void test_reuse(void **state)
{
	struct server s;
	struct policy_options o;
	struct policy_client *client;

	server_start(&s);
	o = options_of(&s);
	client = policy_client_new(&o);
	expect(client, 0, "1.1");
	expect(client, 0, "1.2");
	policy_client_tidy(client);
	expect(client, 0, "1.3");
	policy_client_free(&client);
	server_end(&s);
}

/* What is asked about one message goes over one connection, until there are no more to be had. */
static void test_owners(void **state)
{
	struct server s;
	struct policy_options o;
	struct policy_client *client;

	server_start(&s);
	o = options_of(&s);
	client = policy_client_new(&o);
	policy_client_limit(client, 2);
	expect(client, 7, "1.1");
	expect(client, 8, "2.1");
	expect(client, 7, "1.2");
	expect(client, 8, "2.2");
	expect(client, 9, "1.3");
	policy_client_forget(client, 8);
	expect(client, 10, "2.3");
	expect(client, 9, "1.4");
	expect(client, 10, "2.4");
	policy_client_free(&client);
	server_end(&s);
}

static void test_limits(void **state)
{
	struct server s;
	struct policy_options o;
	struct policy_client *client;

	server_start(&s);
	o = options_of(&s);
	o.request_limit = 2;
	client = policy_client_new(&o);
	expect(client, 1, "1.1");
	expect(client, 1, "1.2");
	expect(client, 1, "2.1");
	policy_client_free(&client);
	o.request_limit = 0;
	o.max_idle = 0;
	client = policy_client_new(&o);
	expect(client, 1, "3.1");
	expect(client, 1, "4.1");
	policy_client_free(&client);
	o.max_idle = 100;
	o.max_ttl = 0;
	client = policy_client_new(&o);
	expect(client, 1, "5.1");
	expect(client, 1, "6.1");
	policy_client_free(&client);
	server_end(&s);
}

/* A server that ends connections costs no try, and a new connection is made at once. */
static void test_server_ends(void **state)
{
	struct server s;
	struct policy_options o;
	struct policy_client *client;

	server_start(&s);
	s.close_after = 1;
	o = options_of(&s);
	o.retry_delay = 1000;
	o.try_limit = 2;
	client = policy_client_new(&o);
	expect(client, 1, "1.1");
	expect(client, 1, "2.1");
	policy_client_free(&client);
	server_end(&s);
}

static void test_failures(void **state)
{
	struct server s;
	struct policy_options o;
	struct policy_client *client;

	server_start(&s);
	s.hang_up = true;
	o = options_of(&s);
	o.try_limit = 3;
	client = policy_client_new(&o);
	expect_failure(client, "problem talking to server");
	assert_int_equal(s.connections, 3);
	server_end(&s);
	expect_failure(client, "refused");
	policy_client_free(&client);
	o.endpoint = "inet:without-port";
	client = policy_client_new(&o);
	expect_failure(client, "host:port is wanted");
	policy_client_free(&client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_owners),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_server_ends),
		cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
