#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/expand.h"

static enum expand_found look_up(void *arg, const char *name, const char **value)
{
	static const struct {
		const char *name, *value;
	} names[] = {
		{"x", "1"},
		{"empty", ""},
		{"y", "<$x>"},
		{"loop", "$loop"},
		{"hollow", "$empty"},
		{"a", "$b"},
		{"b", "$a"},
		{"level", "3.6"},
		{"double0",
			"$double1$double1$double1$double1$double1$double1$double1$double1$double1$double1"},
		{"double1",
			"$double2$double2$double2$double2$double2$double2$double2$double2$double2$double2"},
		{"double2",
			"$double3$double3$double3$double3$double3$double3$double3$double3$double3$double3"},
		{"double3",
			"$double4$double4$double4$double4$double4$double4$double4$double4$double4$double4"},
		{"double4",
			"$double5$double5$double5$double5$double5$double5$double5$double5$double5$double5"},
		{"double5", "$empty$empty$empty$empty$empty$empty$empty$empty$empty$empty"},
		{"raw", "$x"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i].name, name) == 0) {
			*value = names[i].value;
			return strcmp(name, "raw") == 0 ? EXPAND_FINAL : EXPAND_AGAIN;
		}
	}
	return EXPAND_UNDEFINED;
}

static void test_values(void **state)
{
	static const struct {
		const char *text, *expanded;
	} cases[] = {
		{"", ""},
		{"plain", "plain"},
		{"$x", "1"},
		{"${x}$(x)${ x }", "111"},
		{"$x.y $x-y", "1.y 1-y"},
		{"$none", ""},
		{"$$x", "$x"},
		{"$raw $y", "$x <1>"},
		{"${x?yes}${none?yes}", "yes"},
		{"${x:no}${none:no}", "no"},
		{"${empty?yes}${empty:no}", "no"},
		{"${x?{a}:{b}}${none?{a}:{b}}", "ab"},
		{"${x ? {a} : {b} }", "a"},
		{"${none?{a}:b}", "b"},
		{"${none?{a}}", ""},
		{"${x?{ a }}", " a "},
		{"${x?a{b}c}", "a{b}c"},
		{"${x?{$y}:{${loop}}}", "<1>"},
		{"${{a}=={a}}${{a}=={b}}", "true"},
		{"${{a} == {a} ? {x} : {y}}", "x"},
		{"${{a} != {a} ? {x} : {y}}", "y"},
		{"${{2} < {10} ? {x} : {y}}${{b} < {a} ? {x} : {y}}", "xy"},
		{"${{10} >= {9} ? {x}}${{10} <= {9} ? {x}}${{b} > {a} ? {z}}", "xz"},
		{"${{010} == {10} ? {x} : {y}}", "x"},
		{"${{ a } == {a} ? {x} : {y}}", "y"},
		{"${{} == {$none} ? {x} : {y}}", "x"},
		{"${{$x} == {1} ? {${none:{n}}}}", "n"},
		{"${{$level} <level {3.10} ? {old} : {new}}", "old"},
		{"${{3.10} <=level {3.9} ? {old} : {new}}", "new"},
		{"${{2} <level {3.6} ? {old} : {new}}", "old"},
		{"${{3.6.1} ==level {3.6} ? {x} : {y}}", "y"},
		{"${{a} == {b} : {x}}", "x"},
		{"$(x?{a}:{b})", "a"},
		{"${hollow?set}${loop?set}", "setset"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF(EXPAND_MAX);
		struct err err = {""};

		if (!expand(cases[i].text, look_up, NULL, &out, &err))
			fail_msg("%s: %s", cases[i].text, err.text);
		assert_string_equal(buf_cstr(&out), cases[i].expanded);
		buf_free(&out);
	}
}

static void test_errors(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"a$", "empty macro name"},
		{"$-", "empty macro name"},
		{"${}", "empty macro name"},
		{"$()", "empty macro name"},
		{"${", "truncated macro reference: \"${\""},
		{"${x", "truncated macro reference"},
		{"$(x}", "truncated macro reference"},
		{"${x?{a}", "truncated macro reference"},
		{"${x?{a}b}", "\":\" expected"},
		{"${x?{a}:{b}c}", "unexpected input"},
		{"${x:{b}:{c}}", "unexpected input"},
		{"${x-y}", "attribute name syntax error"},
		{"${x!}", "attribute name syntax error"},
		{"${x${y}}", "attribute name syntax error"},
		{"${(x)}", "attribute name syntax error"},
		{"${{a}==b?{x}}", "bad operator suffix"},
		{"${{a}~={a}?{x}}", "expected at"},
		{"${{a} == a ? {x}}", "expected"},
		{"${{a} ==level {1} ? {x}}", "malformed compatibility level"},
		{"${{1.2.3.4} ==level {1} ? {x}}", "malformed compatibility level"},
		{"${{99999999999999999999} > {5} ? {x}}", "number too large"},
		{"$loop", "unreasonable macro call nesting: \"loop\""},
		{"$a", "unreasonable macro call nesting"},
		{"$double0", "too many macro references"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF(EXPAND_MAX);
		struct err err = {""};

		if (expand(cases[i].text, look_up, NULL, &out, &err))
			fail_msg("%s: no error", cases[i].text);
		if (!strstr(err.text, cases[i].error))
			fail_msg("%s: %s", cases[i].text, err.text);
		buf_free(&out);
	}
}

static void test_deep_braces(void **state)
{
	struct buf text = BUF(100000), out = BUF(EXPAND_MAX);
	struct err err;

	for (int i = 0; i < 1000; i++)
		buf_puts(&text, "${x?{");
	for (int i = 0; i < 1000; i++)
		buf_puts(&text, "}}");
	assert_false(expand(buf_cstr(&text), look_up, NULL, &out, &err));
	assert_non_null(strstr(err.text, "nesting"));
	buf_free(&text);
	buf_free(&out);
}

static void collect(void *arg, const char *name)
{
	buf_printf(arg, "%s ", name);
}

static void test_names(void **state)
{
	struct buf names = BUF(1000);

	assert_true(
		expand_names("$p ${q?{$r}:{$s}} ${{$t} == {u} ? {$v} : {$w}} $$no", collect, &names, NULL));
	assert_string_equal(buf_cstr(&names), "p q r s t v w ");
	buf_free(&names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_deep_braces),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
