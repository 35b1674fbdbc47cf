#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "error/reason.h"

static void test_reasons(void **state)
{
	static const struct {
		enum dsn_action action;
		const char *nexthop, *status, *reason;
	} cases[] = {
		{DSN_FAILED, "5.7.9 go away", "5.7.9", "go away"},
		{DSN_FAILED, "plain text", "5.0.0", "plain text"},
		{DSN_FAILED, "4.3.3 odd", "5.0.0", "odd"},
		{DSN_FAILED, "5.1.1", "5.1.1", "otherwise"},
		{DSN_FAILED, "", "5.0.0", "otherwise"},
		{DSN_FAILED, "  5.123.456   x ", "5.123.456", "x"},
		{DSN_FAILED, "5.1.1x", "5.0.0", "5.1.1x"},
		{DSN_DELAYED, "4.2.2 not now", "4.2.2", "not now"},
		{DSN_DELAYED, "5.2.2 never", "4.0.0", "never"},
		{DSN_DELIVERED, "2.9.9 hmm", "2.9.9", "hmm"},
		{DSN_DELIVERED, "thrown", "2.0.0", "thrown"},
	};
	struct pool *pool = pool_new(256);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct dsn *dsn = reason_make(pool, cases[i].action, cases[i].nexthop, "otherwise");

		assert_int_equal(dsn->action, cases[i].action);
		assert_string_equal(dsn->status, cases[i].status);
		assert_string_equal(dsn->reason, cases[i].reason);
	}
	pool_free(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
