#include "smtpd/limits.h"

#include "base/mem.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SIZE (64 << 10)

static struct limits make(int unit)
{
	struct limits l;

	limits_init(&l, x_alloc(SIZE), SIZE, unit);
	return l;
}

static uint64_t key(const struct limits *l, const char *address, int v4, int v6)
{
	struct net_addr a;

	assert_true(net_parse_ip(str_c(address), 0, &a));
	return limits_key(l, "smtp", &a, v4, v6);
}

/* R094: a client is a prefix. */
static void test_prefixes(void **state)
{
	struct limits l = make(60);

	assert_true(key(&l, "2001:db8::1", 32, 64) == key(&l, "2001:db8::ffff:1", 32, 64));
	assert_true(key(&l, "2001:db8::1", 32, 84) == key(&l, "2001:db8::fff:ffff", 32, 84));
	assert_false(key(&l, "2001:db8::1", 32, 128) == key(&l, "2001:db8::2", 32, 128));
	assert_false(key(&l, "2001:db8:0:1::1", 32, 64) == key(&l, "2001:db8::1", 32, 64));
	assert_true(key(&l, "192.0.2.1", 24, 64) == key(&l, "192.0.2.200", 24, 64));
	assert_false(key(&l, "192.0.2.1", 32, 64) == key(&l, "192.0.2.2", 32, 64));
	x_free(&l.table);
}

static void test_counts(void **state)
{
	struct limits l = make(60);
	uint64_t a = key(&l, "192.0.2.1", 32, 64), b = key(&l, "192.0.2.2", 32, 64);

	assert_int_equal(limits_connect(&l, a), 1);
	assert_int_equal(limits_connect(&l, a), 2);
	assert_int_equal(limits_connect(&l, b), 1);
	limits_disconnect(&l, a);
	assert_int_equal(limits_connect(&l, a), 2);
	for (int i = 0; i < 5; i++)
		limits_disconnect(&l, a);
	assert_int_equal(limits_connect(&l, a), 1);
	assert_int_equal(limits_count(&l, a, LIMIT_MESSAGES), 1);
	assert_int_equal(limits_count(&l, a, LIMIT_MESSAGES), 2);
	assert_int_equal(limits_count(&l, a, LIMIT_RECIPIENTS), 1);
	assert_int_equal(limits_seen(&l, a, LIMIT_MESSAGES), 2);
	assert_int_equal(limits_seen(&l, b, LIMIT_MESSAGES), 0);
	x_free(&l.table);
}

static void test_time_unit(void **state)
{
	struct limits l = make(0);
	uint64_t a = key(&l, "192.0.2.1", 32, 64);

	assert_int_equal(limits_count(&l, a, LIMIT_MESSAGES), 1);
	assert_int_equal(limits_count(&l, a, LIMIT_MESSAGES), 1);
	x_free(&l.table);
}

/* More clients than there is room for: those with connections keep their entry. */
static void test_many_clients(void **state)
{
	struct limits l = make(60);
	uint64_t a = key(&l, "192.0.2.1", 32, 64);
	char address[40];

	limits_connect(&l, a);
	for (int i = 0; i < 100000; i++) {
		snprintf(address, sizeof(address), "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
		limits_count(&l, key(&l, address, 32, 64), LIMIT_CONNECTIONS);
	}
	assert_int_equal(limits_connect(&l, a), 2);
	x_free(&l.table);
}

static void *connect_and_leave(void *arg)
{
	struct limits *l = arg;
	struct net_addr addr;
	uint64_t k;

	net_parse_ip(STR("192.0.2.1"), 0, &addr);
	k = limits_key(l, "smtp", &addr, 32, 64);
	for (int i = 0; i < 20000; i++) {
		limits_connect(l, k);
		limits_count(l, k, LIMIT_MESSAGES);
		limits_disconnect(l, k);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct limits l = make(3600);
	pthread_t threads[4];
	uint64_t a = key(&l, "192.0.2.1", 32, 64);

	limits_connect(&l, a);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, connect_and_leave, &l), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(limits_connect(&l, a), 2);
	assert_int_equal(limits_seen(&l, a, LIMIT_MESSAGES), 80000);
	x_free(&l.table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_time_unit),
		cmocka_unit_test(test_many_clients),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
