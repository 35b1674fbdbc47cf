#include "mail/header_addresses.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Addresses without domain get one; "stop" gives up. */
static bool complete(void *arg, struct str from, bool has_domain, struct buf *to)
{
	++*(int *)arg;
	buf_str(to, from);
	if (!has_domain)
		buf_puts(to, "@x");
	return !str_is(from, "stop");
}

struct header_case {
	const char *value, *result; /* result NULL: nothing changes */
	int addresses;
};

static const struct header_case cases[] = {
	{"a@b, <c@d>", NULL, 2},
	{"a, B C <c>, d (e f), g: h, i@j;, \"q r\"", "a@x, B C <c@x>, d@x (e f), g: h@x, i@j;, \"q r\"@x", 6},
	{"a b", "a@x, b@x", 2},
	{"a(c)b", "a@x, (c)b@x", 2},
	{"a . b (c) @ d", NULL, 1},
	{"\"u@v\"", "\"u@v\"@x", 1},
	{"a@b@c", "\"a@b\"@c", 1},
	{"<@r,@s:u@v>", "<u@v>", 1},
	{"@r:u@v", "u@v", 1},
	{"<>", NULL, 0},
	{"<a, b>", NULL, 0},
	{"", NULL, 0},
	{" , ;", NULL, 0},
	{"(only a comment)", NULL, 0},
	{"\"open", NULL, 0},
	{"a,\r\n b,\r\n\tc", "a@x,\r\n b@x,\r\n\tc@x", 3},
	{"\"\"@d", NULL, 1},
};

static void test_cases(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct buf out = BUF(1000);
		int calls = 0;
		enum header_change change =
			header_addresses_map(str_c(cases[i].value), 100, complete, &calls, &out);

		if (change != (cases[i].result ? HEADER_CHANGED : HEADER_SAME) || calls != cases[i].addresses)
			fail_msg("%s: %d %s", cases[i].value, calls, buf_cstr(&out));
		if (cases[i].result)
			assert_string_equal(buf_cstr(&out), cases[i].result);
		buf_free(&out);
	}
}

static bool nothing(void *arg, struct str from, bool has_domain, struct buf *to)
{
	++*(int *)arg;
	return true;
}

/* Odd forms stay as they stand when the mapping has nothing to say. */
static void test_nothing(void **state)
{
	struct buf out = BUF(1000);
	int calls = 0;

	assert_int_equal(header_addresses_map(STR("a b, \"c@d\", <\"e\"@f>"), 100, nothing, &calls, &out),
		HEADER_SAME);
	assert_int_equal(calls, 4);
	assert_int_equal(out.len, 0);
}

static void test_names(void **state)
{
	assert_int_equal(header_name_length(STR("To: x")), 2);
	assert_int_equal(header_name_length(STR("To \t: x")), 2);
	assert_int_equal(header_name_length(STR(": x")), 0);
	assert_int_equal(header_name_length(STR("To x")), 0);
	assert_int_equal(header_name_length(STR("")), 0);
	assert_true(header_has_addresses(STR("RESENT-From")));
	assert_false(header_has_addresses(STR("Subject")));
}

static void test_limits(void **state)
{
	struct buf out = BUF(1000), small = BUF(4);
	int calls = 0;

	assert_int_equal(header_addresses_map(STR("a, b, c"), 3, complete, &calls, &out), HEADER_CHANGED);
	assert_string_equal(buf_cstr(&out), "a@x, b@x, c");
	assert_int_equal(
		header_addresses_map(STR("a, stop, c"), 100, complete, &calls, &out), HEADER_GIVEN_UP);
	assert_int_equal(header_addresses_map(STR("abcdef"), 100, complete, &calls, &small), HEADER_CHANGED);
	assert_true(small.over);
	buf_free(&out);
	buf_free(&small);
}

/* Long and deep input costs no more than its length. */
static void test_many(void **state)
{
	struct buf value = BUF(1 << 20), out = BUF(4 << 20);
	int calls = 0;

	for (int i = 0; i < 100000; i++)
		buf_puts(&value, i < 50000 ? "a," : "(");
	assert_int_equal(
		header_addresses_map(buf_slice(&value), SIZE_MAX, complete, &calls, &out), HEADER_CHANGED);
	assert_int_equal(calls, 50000);
	buf_free(&value);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
