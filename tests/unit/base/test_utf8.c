#include "base/utf8.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_sequence(void **state)
{
	assert_int_equal(utf8_sequence(STR("")), 0);
	assert_int_equal(utf8_sequence(STR("\0")), 1);
	assert_int_equal(utf8_sequence(STR("ab")), 1);
	assert_int_equal(utf8_sequence(STR("\342\202\254x")), 3);
	assert_int_equal(utf8_sequence(STR("\342\202")), 0);
	assert_int_equal(utf8_sequence(STR("\202")), 0);
	assert_int_equal(utf8_sequence(STR("\364\217\277\277")), 4);
}

static void test_valid(void **state)
{
	assert_true(utf8_valid(STR("")));
	assert_true(utf8_valid(STR("a\303\251\342\202\254\360\237\230\200")));
	assert_false(utf8_valid(STR("\300\200")));
	assert_false(utf8_valid(STR("\355\240\200")));
	assert_false(utf8_valid(STR("\360\217\277\277")));
	assert_false(utf8_valid(STR("\364\220\200\200")));
	assert_false(utf8_valid(STR("\303")));
}

static void test_json(void **state)
{
	struct buf out = BUF(100);

	utf8_put_json(&out, STR("a\"\\\n\x7f\303\251\351"));
	assert_string_equal(buf_cstr(&out), "\"a\\\"\\\\\\u000a\\u007f\303\251\xef\xbf\xbd\"");
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sequence),
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
