#include "base/str.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

static void test_compare(void **state)
{
	assert_true(str_eq(STR(""), (struct str){NULL, 0}));
	assert_false(str_eq(STR(".\0junk"), STR(".")));
	assert_true(str_case_eq(STR("HeLO"), STR("hElo")));
	assert_false(str_case_eq(STR("\xc4"), STR("\xe4")));
	assert_true(str_is(STR("a"), "a"));
	assert_true(str_is(STR(""), NULL));
	assert_true(str_starts(STR("abc"), STR("ab")));
	assert_false(str_starts(STR("a"), STR("ab")));
	assert_true(str_case_starts(STR("FROM:<>"), STR("from:")));
	assert_true(str_ends(STR("x.org"), STR(".org")));
	assert_false(str_ends(STR("org"), STR(".org")));
	assert_true(str_has_nul(STR("a\0b")));
	assert_true(ascii_casecmp("abc", "ABD") < 0);
	assert_int_equal(ascii_casecmp("abc", "ABC"), 0);
	assert_true(ascii_casecmp("abcd", "ABC") > 0);
}

static void test_find_and_cut(void **state)
{
	assert_int_equal(str_find(STR("a@b@c"), '@'), 1);
	assert_int_equal(str_rfind(STR("a@b@c"), '@'), 3);
	assert_int_equal(str_find(STR(""), '@'), -1);
	assert_int_equal(str_rfind((struct str){NULL, 0}, '@'), -1);
	assert_int_equal(str_from(STR("abc"), 7).n, 0);
	assert_int_equal(str_first(STR("abc"), 7).n, 3);
	assert_true(str_is(str_trim(STR(" \t a b \r\n")), "a b"));
	assert_int_equal(str_trim(STR(" \r\n")).n, 0);
}

static void expect_words(struct str text, bool groups, const char *const *words)
{
	struct str word;

	for (; *words; words++) {
		assert_true(groups ? str_group(&text, ", ", &word) : str_word(&text, ", ", &word));
		assert_true(str_is(word, *words));
	}
	assert_false(str_word(&text, ", ", &word));
}

static void test_words(void **state)
{
	expect_words(STR(" a, b,,c "), false, (const char *const[]){"a", "b", "c", NULL});
	expect_words(STR(""), false, (const char *const[]){NULL});
	expect_words(
		STR("{a b}, c{d, {e f}} g"), true, (const char *const[]){"{a b}", "c{d, {e f}}", "g", NULL});
	expect_words(STR("} x {open, y"), true, (const char *const[]){"}", "x", "{open, y", NULL});
}

static void test_numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t max;
		bool ok;
		uint64_t value;
	} cases[] = {
		{"0", 10, true, 0},
		{"10", 10, true, 10},
		{"11", 10, false, 0},
		{"", 10, false, 0},
		{"-1", 10, false, 0},
		{"+1", 10, false, 0},
		{" 1", 10, false, 0},
		{"1x", 10, false, 0},
		{"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
		{"18446744073709551616", UINT64_MAX, false, 0},
		{"99999999999999999999999", UINT64_MAX, false, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t v = 0;

		assert_int_equal(str_to_u64(str_c(cases[i].text), cases[i].max, &v), cases[i].ok);
		assert_int_equal(v, cases[i].value);
	}
}

static void test_signed_numbers(void **state)
{
	int64_t v = 7;

	assert_true(str_to_i64(STR("-9223372036854775808"), INT64_MIN, INT64_MAX, &v));
	assert_true(v == INT64_MIN);
	assert_false(str_to_i64(STR("-9223372036854775809"), INT64_MIN, INT64_MAX, &v));
	assert_true(str_to_i64(STR("-0"), 0, 5, &v));
	assert_int_equal(v, 0);
	assert_false(str_to_i64(STR("-1"), 0, 5, &v));
	assert_false(str_to_i64(STR("3"), 4, 5, &v));
	assert_false(str_to_i64(STR("6"), 4, 5, &v));
	assert_true(str_to_i64(STR("-3"), -4, -2, &v));
	assert_int_equal(v, -3);
	assert_false(str_to_i64(STR("-1"), -4, -2, &v));
	assert_false(str_to_i64(STR("--1"), -4, 2, &v));
	assert_false(str_to_i64(STR("-"), -4, 2, &v));
}

static void test_lower(void **state)
{
	char s[] = "MiXed-\xc4";

	ascii_lower(s);
	assert_string_equal(s, "mixed-\xc4");
}

static void test_controls(void **state)
{
	char s[] = "a\tb\x7f\xc4 ";

	assert_true(str_has_control(str_c(s)));
	assert_true(str_has_control(STR("\0")));
	ascii_hide_controls(s, '?');
	assert_string_equal(s, "a?b?\xc4 ");
	assert_false(str_has_control(str_c(s)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_find_and_cut),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_signed_numbers),
		cmocka_unit_test(test_lower),
		cmocka_unit_test(test_controls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
