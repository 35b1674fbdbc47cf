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

static void test_hide(void **state)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {{"", ""}, {"a\303\251\342\202\254", "a\303\251\342\202\254"},
		{"a\n\x1b[m\x7f", "a??[m?"}, {"\xc2\x85\xc2\x9b\xc2\xa0", "????\xc2\xa0"},
		{"\xc0\xaf\xed\xa0\x80\xf5\xff.", "???????."}, {"x\xe2\x82", "x??"}, {"\xc3(", "?("}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[20];

		snprintf(text, sizeof(text), "%s", cases[i].text);
		utf8_hide_controls(text, strlen(text), '?');
		assert_string_equal(text, cases[i].shown);
	}
}

static void test_json(void **state)
{
	struct buf out = BUF(100);

	utf8_put_json(&out, STR("a\"\\\n\x7f\303\251\351\302\233"));
	assert_string_equal(buf_cstr(&out), "\"a\\\"\\\\\\u000a\\u007f\303\251\xef\xbf\xbd\\u009b\"");
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sequence),
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_hide),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
