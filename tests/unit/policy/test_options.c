#include "policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct policy_options defaults = {.default_action = POLICY_DEFAULT_ACTION,
	.context = "",
	.timeout = 100,
	.max_idle = 300,
	.max_ttl = 1000,
	.try_limit = 2,
	.retry_delay = 1};

static bool parse(const char *text, struct pool *pool, struct policy_options *out)
{
	struct err err = {""};
	bool good = policy_options_parse(str_c(text), &defaults, pool, out, &err);

	assert_true(good == (err.text[0] == '\0'));
	return good;
}

static void test_endpoints(void **state)
{
	struct pool *pool = pool_new(100);
	struct policy_options o;

	assert_true(parse("inet:127.0.0.1:10023", pool, &o));
	assert_string_equal(o.endpoint, "inet:127.0.0.1:10023");
	assert_string_equal(o.default_action, POLICY_DEFAULT_ACTION);
	assert_int_equal(o.timeout, 100);
	assert_true(parse("unix:private/policy", pool, &o));
	assert_string_equal(o.endpoint, "unix:private/policy");
	assert_true(parse("local:/run/policy", pool, &o));
	assert_string_equal(o.endpoint, "unix:/run/policy");
	assert_false(parse("private/policy", pool, &o));
	assert_false(parse("inet:", pool, &o));
	assert_false(parse("{ }", pool, &o));
	assert_false(parse("{", pool, &o));
	pool_free(&pool);
}

static void test_settings(void **state)
{
	struct pool *pool = pool_new(100);
	struct policy_options o;

	assert_true(
		parse("{ inet:[::1]:9998, timeout=10s, default_action=DUNNO\n policy_context=submission }",
			pool, &o));
	assert_string_equal(o.endpoint, "inet:[::1]:9998");
	assert_string_equal(o.default_action, "DUNNO");
	assert_string_equal(o.context, "submission");
	assert_int_equal(o.timeout, 10);
	assert_int_equal(o.max_idle, 300);
	assert_true(parse("{unix:x {default_action = 451 4.3.5 See {http} x=y}, { max_ttl = 2m } "
			  "max_idle=0,request_limit=5 "
			  "try_limit=3 retry_delay=7}",
		pool, &o));
	assert_string_equal(o.default_action, "451 4.3.5 See {http} x=y");
	assert_int_equal(o.max_ttl, 120);
	assert_int_equal(o.max_idle, 0);
	assert_int_equal(o.request_limit, 5);
	assert_int_equal(o.try_limit, 3);
	assert_int_equal(o.retry_delay, 7);
	pool_free(&pool);
}

static void test_bad_settings(void **state)
{
	static const char *const bad[] = {"{ unix:x timeout }", "{ unix:x timeout= }", "{ unix:x timeout=0 }",
		"{ unix:x =5 }", "{ unix:x try_limit=0 }", "{ unix:x try_limit=x }",
		"{ unix:x request_limit=-1 }", "{ unix:x endless=1 }", "{ unix:x retry_delay=1y }",
		"{ timeout=1 unix:x }"};
	struct pool *pool = pool_new(100);
	struct policy_options o;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(parse(bad[i], pool, &o));
	pool_free(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_endpoints),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_bad_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
