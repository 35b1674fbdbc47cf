/* The connection cache. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <unistd.h>

#include "fixture.h"

#define OPEN "220 hello", "EHLO", "250 ok"
#define MAIL_OK "MAIL", "250 ok", "RCPT", "250 ok", "DATA", "354 go", ".", "250 ok"
#define SAID "MAIL FROM:<sender@client.example>|RCPT TO:<u1@example.com>|DATA|"
#define HI "EHLO client.example|"

struct run {
	struct fixture *f;
	struct server *v;
	char nexthop[40];
};

static struct run begin(const char *const *script, const char *main_cf)
{
	struct run r = {fixture_new(main_cf, false), server_start(script), ""};

	snprintf(r.nexthop, sizeof(r.nexthop), "[127.0.0.1]:%u", r.v->port);
	return r;
}

/* conn_use of the outcome; the mail must have been taken. */
static int deliver(struct run *r, bool busy)
{
	fixture_message(r->f, 1, "hi\r\n", 0);
	r->f->request.busy_destination = busy;
	fixture_deliver(r->f, r->nexthop);
	assert_string_equal(r->f->outcomes[0].reason, "250 ok");
	return r->f->outcomes[0].conn_use;
}

static void end(struct run *r, const char *said)
{
	char all[5000];

	fixture_free(r->f);
	assert_string_equal(server_wait(r->v, all, sizeof(all)), said);
	server_free(r->v);
}

static void test_on_demand(void **state)
{
	static const char *const script[] = {OPEN, MAIL_OK, MAIL_OK, MAIL_OK, "QUIT", NULL};
	struct run r = begin(script, "");

	assert_int_equal(deliver(&r, true), 0);
	assert_int_equal(deliver(&r, true), 2);
	assert_int_equal(deliver(&r, false), 3);
	end(&r, HI SAID SAID SAID "QUIT|<end>");
}

static void test_by_address(void **state)
{
	static const char *const script[] = {OPEN, MAIL_OK, MAIL_OK, "QUIT", NULL};
	struct run r = begin(script, "");

	assert_int_equal(deliver(&r, true), 0);
	snprintf(r.nexthop, sizeof(r.nexthop), "[ipv6:127.0.0.1]:%u", r.v->port);
	assert_int_equal(deliver(&r, false), 2);
	end(&r, HI SAID SAID "QUIT|<end>");
}

static void test_always_for_listed(void **state)
{
	static const char *const script[] = {OPEN, MAIL_OK, MAIL_OK, "QUIT", NULL};
	struct run r = begin(script, "smtp_connection_cache_destinations = example.net, 127.0.0.1");

	assert_int_equal(deliver(&r, false), 0);
	assert_int_equal(deliver(&r, false), 2);
	end(&r, HI SAID SAID "QUIT|<end>");
}

static void test_limits(void **state)
{
	static const char *const script[] = {
		OPEN, MAIL_OK, MAIL_OK, "QUIT", "*next", OPEN, MAIL_OK, "QUIT", NULL};
	struct run r = begin(script, "smtp_connection_reuse_count_limit = 1");

	assert_int_equal(deliver(&r, true), 0);
	assert_int_equal(deliver(&r, true), 2);
	assert_int_equal(deliver(&r, true), 0);
	end(&r, HI SAID SAID "QUIT|<end>|" HI SAID "QUIT|<end>");
}

static void test_idle_ends(void **state)
{
	static const char *const script[] = {OPEN, MAIL_OK, "QUIT", NULL};
	struct run r = begin(script, "smtp_connection_cache_time_limit = 1s");

	assert_int_equal(deliver(&r, true), 0);
	sleep(2);
	assert_int_equal(server_count(r.v), 6);
	end(&r, HI SAID "QUIT|<end>");
}

/* Closed by the server, refused by it on reuse, or lost on reuse: a new connection is made, and no mail
 * notices. */
static void test_stale(void **state)
{
	static const char *const closed[] = {OPEN, MAIL_OK, "*next", OPEN, MAIL_OK, "QUIT", NULL};
	static const char *const refused[] = {
		OPEN, MAIL_OK, "MAIL", "421 too long here", "*close", "*next", OPEN, MAIL_OK, "QUIT", NULL};
	static const char *const lost[] = {
		OPEN, MAIL_OK, "MAIL", "*close", "*next", OPEN, MAIL_OK, "QUIT", NULL};
	struct run r = begin(closed, "");

	assert_int_equal(deliver(&r, true), 0);
	usleep(200000);
	assert_int_equal(deliver(&r, false), 0);
	end(&r, HI SAID "<end>|" HI SAID "QUIT|<end>");
	r = begin(refused, "");
	assert_int_equal(deliver(&r, true), 0);
	assert_int_equal(deliver(&r, false), 0);
	end(&r, HI SAID "MAIL FROM:<sender@client.example>|<end>|" HI SAID "QUIT|<end>");
	r = begin(lost, "");
	assert_int_equal(deliver(&r, true), 0);
	assert_int_equal(deliver(&r, false), 0);
	end(&r, HI SAID "MAIL FROM:<sender@client.example>|<end>|" HI SAID "QUIT|<end>");
}

static void test_after_refusal(void **state)
{
	static const char *const script[] = {
		OPEN, "MAIL", "250 ok", "RCPT", "550 no", "RSET", "250 ok", MAIL_OK, "QUIT", NULL};
	struct run r = begin(script, "");

	fixture_message(r.f, 1, "hi\r\n", 0);
	r.f->request.busy_destination = true;
	fixture_deliver(r.f, r.nexthop);
	assert_int_equal(r.f->outcomes[0].action, DSN_FAILED);
	assert_int_equal(deliver(&r, false), 2);
	end(&r, HI "MAIL FROM:<sender@client.example>|RCPT TO:<u1@example.com>|RSET|" SAID "QUIT|<end>");
}

static void test_switched_off(void **state)
{
	static const char *const script[] = {OPEN, MAIL_OK, "QUIT", "*next", OPEN, MAIL_OK, "QUIT", NULL};
	struct run r = begin(script, "smtp_connection_cache_on_demand = no");

	assert_int_equal(deliver(&r, true), 0);
	assert_int_equal(deliver(&r, true), 0);
	end(&r, HI SAID "QUIT|<end>|" HI SAID "QUIT|<end>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_on_demand),
		cmocka_unit_test(test_by_address),
		cmocka_unit_test(test_always_for_listed),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_idle_ends),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_after_refusal),
		cmocka_unit_test(test_switched_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
