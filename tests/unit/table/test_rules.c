/* cidr:, regexp: and pcre:. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../support/test_table.h"

static const char cidr_text[] = "172.16.0.0/21 554 match bad netblock 172.16.0.0/21\n"
				"172.16.0.0/16 554 match bad netblock 172.16.0.0/16\n"
				"172.17.1.1 554 match bad naked address\n"
				"172.16.1.3/21 whatever\n"
				"172.16.1.3/33 whatever\n"
				"172.999.0.0/21 whatever\n"
				"172.16.1.999 whatever\n"
				"172.16.1.4\n"
				"if 1.2.0.0/16\n"
				"if 1.2.3.4/30\n"
				"1.2.3.3 never\n"
				"1.2.3.4 inner\n"
				"endif\n"
				"endif\n"
				"if !1.2.3.4/30\n"
				"1.2.3.3 outer\n"
				"::1 never\n"
				"endif\n"
				"if !::f4/126\n"
				"::f3 v6 outer\n"
				"endif\n"
				"! 0.0.0.0/0 never\n"
				"::ffff:9.9.9.0/120 mapped\n"
				"1.0.0.0/0 whatever\n"
				"1::/0 whatever\n"
				"[1234 x\n"
				"[1234]junk x\n"
				"172.16.1.3/3x x\n"
				"/24 x\n"
				"1.2.3.4/ x\n"
				"endif junk\n"
				"endif\n"
				"[2001:db8::]/32 bracketed\n"
				"[2001:db9::/32] bracketed too\n"
				"if 1:2::3:4\n"
				"if !\n"
				"!\n";

static const char *const cidr_complaints[] = {
	("line 4: non-null host address bits in \"172.16.1.3/21\", perhaps you should use \"172.16.0.0/21\" "
	 "instead: "
	 "skipping this rule"),
	"line 5: bad mask length in \"172.16.1.3/33\": skipping this rule",
	"line 6: bad network value in \"172.999.0.0/21\": skipping this rule",
	"line 7: bad address pattern: \"172.16.1.999\": skipping this rule",
	"line 8: no lookup result: skipping this rule",
	("line 24: non-null host address bits in \"1.0.0.0/0\", perhaps you should use \"0.0.0.0/0\" "
	 "instead: "
	 "skipping "
	 "this rule"),
	("line 25: non-null host address bits in \"1::/0\", perhaps you should use \"::/0\" instead: "
	 "skipping "
	 "this rule"),
	"line 26: missing ']' character after \"[1234\": skipping this rule",
	"line 27: garbage after \"[1234]\": skipping this rule",
	"line 28: bad mask value in \"172.16.1.3/3x\": skipping this rule",
	"line 29: bad network value in \"/24\": skipping this rule",
	"line 30: bad mask value in \"1.2.3.4/\": skipping this rule",
	"line 31: garbage after ENDIF: skipping this rule",
	"line 32: ENDIF without IF: skipping this rule",
	"line 36: no address pattern: skipping this rule",
	"line 37: no address pattern: skipping this rule",
	"line 35: IF has no matching ENDIF",
};

static void test_cidr(void **state)
{
	struct table *t = test_source("cidr", cidr_text, TABLE_FOLD);
	const size_t count = sizeof(cidr_complaints) / sizeof(*cidr_complaints);

	test_lookup(t, "172.16.7.255", "554 match bad netblock 172.16.0.0/21");
	test_lookup(t, "172.16.17.1", "554 match bad netblock 172.16.0.0/16");
	test_lookup(t, "172.17.1.1", "554 match bad naked address");
	test_lookup(t, "172.17.1.2", NULL);
	test_lookup(t, "1.2.3.4", "inner");
	test_lookup(t, "1.2.3.3", "outer");
	test_lookup(t, "::1", NULL);
	test_lookup(t, "::f3", "v6 outer");
	test_lookup(t, "9.9.9.9", "mapped");
	test_lookup(t, "::ffff:9.9.9.9", "mapped");
	test_lookup(t, "2001:db8::1", "bracketed");
	test_lookup(t, "2001:db9::1", "bracketed too");
	test_lookup(t, "not an address", NULL);
	test_lookup(t, "", NULL);
	for (size_t i = 0; i < count; i++)
		test_warning(t, i, cidr_complaints[i]);
	assert_int_equal(test_warning_count(t), count);
	table_close(&t);
	t = test_table("cidr:{{1.2.3.4 got it}, }", 0);
	test_lookup(t, "1.2.3.4", "got it");
	table_close(&t);
	test_open_fails("cidr:{{foo bar}, {blah blah}}x",
		"cidr map: syntax error after '}' in \"{{foo bar}, {blah blah}}x\"");
	test_open_fails("cidr:{{1.2.3.4 x", "cidr map: missing '}' in \"{{1.2.3.4 x\"");
}

static const char pattern_text[] = "if /true/\tfodder\n"
				   "/1/\t1\n"
				   "if /false/\n"
				   "/2/\t2\n"
				   "endif\t\tfodder\n"
				   "/3/\t3\n"
				   "endif\n"
				   "/c/\n"
				   "/(1)(2)(3)(5)/\t($5)\n"
				   "/(1)(2)(3)(4)/\t($1)${2}$(3)\n"
				   "/^dollar/\t$$x$$\n"
				   "/^(a)(z)?-(.*)/\t<$2>$3\n"
				   "if !/xyzzy/\n"
				   "!/(bogus)/\t($1)\n"
				   "if /q\\/q/\n"
				   "!/find/\tnot found\n"
				   "endif\n"
				   "endif\n"
				   "!\n"
				   "endif\n"
				   "/nodelim foo\n"
				   "/a/k foo\n"
				   "abc foo\n"
				   "/x/ $a\n"
				   "/x/ ${1\n"
				   "/x/ $0\n"
				   "/x/ $\n"
				   "~^Case$~i sensitive\n"
				   "/^line$/m multi\n"
				   "if /./\n"
				   "if /./\n";

static const char *const pattern_complaints[] = {
	"line 1: ignoring extra text after IF statement: \"fodder\"",
	"line 1: do not prepend whitespace to statements between IF and ENDIF",
	"line 5: ignoring extra text after ENDIF",
	"line 8: no replacement text: using empty string",
	"line 9: out of range replacement index \"5\": skipping this rule",
	"line 14: $number found in negative match replacement text: skipping this rule",
	"line 19: no regexp: skipping this rule",
	"line 20: ignoring ENDIF without matching IF",
	"line 22: unknown regexp option \"k\": skipping this rule",
	"line 23: ignoring unrecognized request",
	"line 24: non-numeric replacement index \"a\"",
	"line 24: bad replacement syntax: skipping this rule",
	"line 25: truncated macro reference: \"${1\"",
	"line 25: bad replacement syntax: skipping this rule",
	"line 26: out of range replacement index \"0\"",
	"line 26: bad replacement syntax: skipping this rule",
	"line 27: empty macro name: \"$\"",
	"line 27: bad replacement syntax: skipping this rule",
	"line 31: IF has no matching ENDIF",
	"line 30: IF has no matching ENDIF",
};

static void check_patterns(const char *type, const char *no_delimiter)
{
	struct table *t = test_source(type, pattern_text, TABLE_FOLD);
	const size_t count = sizeof(pattern_complaints) / sizeof(*pattern_complaints);
	size_t seen = 0;

	test_lookup(t, "true", NULL);
	test_lookup(t, "TRUE1", "1");
	test_lookup(t, "true2", NULL);
	test_lookup(t, "truefalse2", "2");
	test_lookup(t, "3", NULL);
	test_lookup(t, "true3", "3");
	test_lookup(t, "c", "");
	test_lookup(t, "1235", NULL);
	test_lookup(t, "1234", "(1)23");
	test_lookup(t, "dollar", "$x$");
	test_lookup(t, "A-B-b", "<>B-b");
	test_lookup(t, "q/q", "not found");
	test_lookup(t, "q/q find", NULL);
	test_lookup(t, "q/q xyzzy", NULL);
	test_lookup(t, "ase", NULL);
	test_lookup(t, "Case", "");
	test_lookup(t, "x\nline\ny", "multi");
	for (size_t i = 0; i < count; i++, seen++) {
		if (i == 8)
			test_warning(t, seen++, no_delimiter);
		test_warning(t, seen, pattern_complaints[i]);
	}
	assert_int_equal(test_warning_count(t), seen);
	table_close(&t);
}

static void test_regexp(void **state)
{
	struct table *t;

	check_patterns("regexp", "line 21: no closing regexp delimiter \"/\": skipping this rule");
	t = test_source("regexp", "/a/!/b/ a!b\n/(hh/ x\n/Q/ix i\n/dd/!x\n", 0);
	test_lookup(t, "ab", NULL);
	test_lookup(t, "aa", "a!b");
	test_lookup(t, "q", NULL);
	test_lookup(t, "Q", "i");
	test_warning(t, 0, "line 2: Unmatched ( or \\(");
	test_warning(t, 1, "line 4: no closing regexp delimiter \"x\": skipping this rule");
	table_close(&t);
	t = test_table("regexp:{{/(x)/ $1}, {/y/ y}}", TABLE_NO_SUBST);
	test_lookup(t, "x", NULL);
	test_lookup(t, "y", "y");
	test_warning(t, 0, "line 1: regular expression substitution is not allowed: skipping this rule");
	table_close(&t);
	test_open_fails("regexp:{{/foo/ bar}, {/blah/ blah}x}",
		"regexp map: syntax error after '}' in \"{/blah/ blah}x\"");
	test_open_fails("regexp:/nonexistent", "open /nonexistent: No such file or directory");
}

static void test_pcre(void **state)
{
	struct table *t;

	check_patterns("pcre", "line 21: no closing regexp delimiter \"/\": ignoring this rule");
	t = test_source("pcre", "/a/!/b/ a!b\n/(hh/ x\n/^a b$/x ext\n/q/X old\n/^mm/A x\n/^(.+?)n/U $1\n", 0);
	test_lookup(t, "aa", NULL);
	test_lookup(t, "ab", "ext");
	test_lookup(t, "q", "old");
	test_lookup(t, "annn", "ann");
	test_warning(t, 0, "line 1: unknown regexp option \"!\": skipping this rule");
	test_warning(t, 1, "line 2: error in regex at offset 3: missing closing parenthesis");
	test_warning(t, 2, "line 4: ignoring obsolete regexp option \"X\"");
	table_close(&t);
}

/* What is behind a NUL byte is searched too. */
static void test_nul(void **state)
{
	static const char *const types[] = {"regexp:{{/evil/ x}}", "pcre:{{/evil/ x}}"};

	for (size_t i = 0; i < 2; i++) {
		struct table *t = test_table(types[i], 0);
		struct buf value = BUF(10);
		struct err err;

		assert_int_equal(table_lookup(t, STR("a\0evil"), &value, &err), TABLE_FOUND);
		buf_free(&value);
		table_close(&t);
	}
}

static void test_expensive_pattern(void **state)
{
	struct table *t = test_table("pcre:{{/(*NO_JIT)^(a+)+$/ x}}", 0);
	struct buf value = BUF(10);
	struct err err;

	assert_int_equal(table_lookup(t, STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), &value, &err),
		TABLE_RETRY);
	assert_non_null(strstr(err.text, "given up"));
	buf_free(&value);
	table_close(&t);
}

static void test_deep_nesting(void **state)
{
	static const char *const types[] = {"regexp", "pcre", "cidr"};
	struct buf text = BUF(1 << 20);

	for (int i = 0; i < 1000; i++)
		buf_puts(&text, "if !/never/\n");
	buf_puts(&text, "/./ reached\n");
	for (size_t i = 0; i < 2; i++) {
		struct table *t = test_source(types[i], buf_cstr(&text), 0);

		test_lookup(t, "k", "reached");
		test_lookup(t, "never", NULL);
		assert_int_equal(test_warning_count(t), 1000);
		table_close(&t);
	}
	buf_free(&text);
}

static int remove_files(void **state)
{
	test_files_remove();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cidr),
		cmocka_unit_test(test_regexp),
		cmocka_unit_test(test_pcre),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_expensive_pattern),
		cmocka_unit_test(test_deep_nesting),
	};

	return cmocka_run_group_tests(tests, NULL, remove_files);
}
