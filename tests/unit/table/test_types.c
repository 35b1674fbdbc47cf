/* The table types whose content is in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/test_table.h"
#include "base/mem.h"

static void test_inline(void **state)
{
	struct table *t = test_table("inline:{ foo=XX, { bAr = lotsa stuff }, z= }", TABLE_FOLD);

	test_lookup(t, "foo", "XX");
	test_lookup(t, "FOO", "XX");
	test_lookup(t, "bar", "lotsa stuff");
	test_lookup(t, "baz", NULL);
	table_close(&t);
	t = test_table("inline:{{bAr=x}}", 0);
	test_lookup(t, "bar", NULL);
	test_lookup(t, "bAr", "x");
	table_close(&t);
	test_open_fails("inline:{ }", "empty table: \"inline:{ }\"; need \"inline:{name=value...}\"");
	test_open_fails("inline:{ foo = xx }",
		"missing '=' after attribute name: \"inline:{ foo = xx }\"; need \"inline:{name=value...}\"");
	test_open_fails(
		"inline:{=x}", "missing attribute name: \"inline:{=x}\"; need \"inline:{name=value...}\"");
	test_open_fails(
		"inline:{ foo=xx }x", "bad syntax: \"inline:{ foo=xx }x\"; need \"inline:{name=value...}\"");
	test_open_fails(
		"inline:{ foo=xx x", "bad syntax: \"inline:{ foo=xx x\"; need \"inline:{name=value...}\"");
	test_open_fails("inline:{ a=b {x=y}x}", "syntax error after '}' in \"{x=y}x\": \"inline:{ a=b "
						"{x=y}x}\"; need \"inline:{name=value...}\"");
}

static void test_fold(void **state)
{
	struct table *t = test_table("inline:{{\303\244b=uni}}", TABLE_FOLD);

	test_lookup(t, "\303\204B", "uni");
	test_lookup(t, "\303B", NULL);
	table_close(&t);
}

static void test_long_and_nul_keys(void **state)
{
	struct table *t = test_table("static:x", TABLE_FOLD);
	struct buf value = BUF(100);
	struct err err;
	char key[10001];

	memset(key, 'k', sizeof(key));
	assert_int_equal(table_lookup(t, (struct str){key, 10001}, &value, &err), TABLE_NOT_FOUND);
	assert_int_equal(table_lookup(t, (struct str){key, 10000}, &value, &err), TABLE_FOUND);
	assert_int_equal(table_lookup(t, STR("a\0b"), &value, &err), TABLE_NOT_FOUND);
	buf_free(&value);
	table_close(&t);
}

static void test_result_too_long(void **state)
{
	struct table *t = test_table("static:0123456789", 0);
	struct buf value = BUF(12);
	struct err err;

	buf_puts(&value, "abc");
	assert_int_equal(table_lookup(t, STR("k"), &value, &err), TABLE_RETRY);
	assert_int_equal(value.len, 3);
	buf_free(&value);
	table_close(&t);
}

static bool collect(void *arg, struct str key, struct str value)
{
	struct buf *out = arg;

	return buf_printf(out, STR_FMT "=" STR_FMT ";", STR_ARG(key), STR_ARG(value));
}

static void test_listing(void **state)
{
	struct table *t = test_table("inline:{{a=b}}", 0);
	struct buf out = BUF(100);
	struct err err;

	assert_int_equal(table_each(t, collect, &out, &err), TABLE_FOUND);
	assert_string_equal(buf_cstr(&out), "a=b;");
	table_close(&t);
	t = test_table("static:x", 0);
	assert_int_equal(table_each(t, collect, &out, &err), TABLE_MISCONFIGURED);
	table_close(&t);
	t = test_table("proxy:fail:x", 0);
	assert_int_equal(table_each(t, collect, &out, &err), TABLE_RETRY);
	table_close(&t);
	buf_free(&out);
}

static void test_texthash(void **state)
{
	struct table *t = test_source("texthash",
		"\"the answer is\"\t42\n"
		"\"a b\"@example.com X\n"
		"a\"b c\"d Y\n"
		"\"q\\\"r\" Z\n"
		"  indented value\n"
		"key\n"
		"  \n"
		"# comment\n"
		"  cont\n"
		"k:  v\n"
		"k2\t\n"
		"Key3 Val3\n"
		"key3 other\n"
		"gg\\ hh ii\n"
		"\"open",
		TABLE_FOLD);

	test_lookup(t, "\"the answer is\"", "42");
	test_lookup(t, "the answer is", NULL);
	test_lookup(t, "\"A B\"@example.com", "X");
	test_lookup(t, "a\"b c\"d", "Y");
	test_lookup(t, "\"q\\\"r\"", "Z  indented value");
	test_lookup(t, "key", "cont");
	test_lookup(t, "k:", "v");
	test_lookup(t, "k2", NULL);
	test_lookup(t, "KEY3", "Val3");
	test_lookup(t, "gg\\ hh", "ii");
	test_lookup(t, "", NULL);
	assert_int_equal(test_warning_count(t), 4);
	test_warning(t, 0, "source, line 10: record is in \"key: value\" format; is this an alias file?");
	test_warning(t, 1, "source, line 11: expected format: key whitespace value -- ignoring this line");
	test_warning(t, 2, "source, line 13: duplicate entry: \"key3\"");
	test_warning(t, 3, "source, line 15: unbalanced '\"' in '\"open' -- ignoring this line");
	table_close(&t);
	t = test_source("texthash", "  starts indented\nk v\n", TABLE_FOLD);
	test_warning(
		t, 0, "source, line 1: logical line must not start with whitespace: \"  starts indented\"");
	test_lookup(t, "k", "v");
	table_close(&t);
	test_open_fails("texthash:/nonexistent/x", "open /nonexistent/x: No such file or directory");
}

static void test_static(void **state)
{
	struct table *t = test_table("static:{ foo xx }", TABLE_FOLD);

	test_lookup(t, "anything", "foo xx");
	table_close(&t);
	test_open_fails("static:{ foo xx ", "bad static:name syntax: missing '}' in \"{ foo xx \"");
	test_open_fails(
		"static:{ foo xx }x", "bad static:name syntax: syntax error after '}' in \"{ foo xx }x\"");
}

static void test_unix(void **state)
{
	struct table *t = test_table("proxy:unix:passwd.byname", TABLE_FOLD);

	test_lookup(t, "nobody-of-this-name", NULL);
	test_lookup(t, "", NULL);
	table_close(&t);
	t = test_table("unix:group.byname", TABLE_FOLD);
	test_lookup(t, "ROOT", "root:x:0:");
	table_close(&t);
	test_open_fails("unix:shadow.byname", "unknown table: unix:shadow.byname");
}

static void test_fail(void **state)
{
	struct table *t = test_table("fail:x", 0);
	struct buf value = BUF(100);
	struct err err;

	assert_int_equal(table_lookup(t, STR("k"), &value, &err), TABLE_RETRY);
	table_close(&t);
	test_open_fails("nosuchtype:x", "unsupported dictionary type: nosuchtype");
	test_open_fails("justname", "expecting \"type:name\" form instead of \"justname\"");
	test_open_fails(":x", "expecting \"type:name\" form instead of \":x\"");
	test_open_fails("proxy:x", "expecting \"type:name\" form instead of \"x\"");
}

static void test_combined(void **state)
{
	struct table *t = test_table("unionmap:{static:one,inline:{foo=two}}", TABLE_FOLD);
	struct buf value = BUF(100);
	struct err err;

	test_lookup(t, "FOO", "one,two");
	test_lookup(t, "bar", "one");
	table_close(&t);
	t = test_table("unionmap:{static:one, fail:x}", 0);
	assert_int_equal(table_lookup(t, STR("k"), &value, &err), TABLE_RETRY);
	assert_int_equal(value.len, 0);
	table_close(&t);
	t = test_table("pipemap:{inline:{k1=v1,k2=v2},inline:{v2=v3}}", TABLE_FOLD);
	test_lookup(t, "k0", NULL);
	test_lookup(t, "k1", NULL);
	test_lookup(t, "k2", "v3");
	table_close(&t);
	t = test_table("pipemap:{static:one, fail:x}", 0);
	assert_int_equal(table_lookup(t, STR("k"), &value, &err), TABLE_RETRY);
	table_close(&t);
	t = test_table("randmap:{123, {1 2 3}}", 0);
	assert_int_equal(table_lookup(t, STR("k"), &value, &err), TABLE_FOUND);
	assert_true(value.len == 3 || value.len == 5);
	table_close(&t);
	t = test_table("unionmap:{regexp:{{/a/ b}},static:x}", 0);
	assert_true(table_is_pattern(t));
	table_close(&t);
	test_open_fails("unionmap:x", "bad syntax: \"unionmap:x\"; need \"unionmap:{type:name...}\"");
	test_open_fails("pipemap:{}", "bad syntax: \"pipemap:{}\"; need \"pipemap:{type:name...}\"");
	test_open_fails("pipemap:{foo:bar}", "unsupported dictionary type: foo");
	test_open_fails("randmap:{ 1 }x", "bad syntax: \"randmap:{ 1 }x\"; need \"randmap:{value...}\"");
	test_open_fails("randmap:{}", "bad syntax: \"randmap:{}\"; need \"randmap:{value...}\"");
	buf_free(&value);
}

static void test_files(void **state)
{
	char *one = x_strdup(test_file("one", "1\n"));
	char *two = x_strdup(test_file("two", "2\n"));
	char *spec = x_asprintf("inline:{a=%s, {b=%s, %s}}", one, one, two);
	struct table *t = test_table(spec, TABLE_FILES);
	struct err err;

	test_lookup(t, "a", "1\n");
	test_lookup(t, "b", "1\n\n2\n");
	table_close(&t);
	assert_null(table_open("static:/nonexistent", TABLE_FILES, &err));
	x_free(&spec);
	spec = x_asprintf("%s x\n", one);
	t = test_source("texthash", spec, TABLE_FILES);
	test_warning(t, 0, "open x: No such file or directory: skipping this entry");
	table_close(&t);
	x_free(&spec);
	x_free(&one);
	x_free(&two);
}

/* What is no server's business is not asked of servers that anybody may be. */
static void test_unauthenticated(void **state)
{
	static const char *const specs[] = {"tcp:127.0.0.1:1", "socketmap:inet:127.0.0.1:1:x",
		"proxy:tcp:127.0.0.1:1", "pipemap:{tcp:127.0.0.1:1}"};

	for (size_t i = 0; i < 4; i++) {
		struct err err = {""};
		struct table *t = test_table(specs[i], 0);

		table_close(&t);
		assert_null(table_open(specs[i], TABLE_NO_UNAUTH, &err));
		assert_true(
			str_ends(str_c(err.text), STR(" map is not allowed for security-sensitive data")));
	}
}

static struct buf reports = BUF(10000);

static void keep_report(enum log_level level, const char *text)
{
	buf_printf(&reports, "%d %s\n", (int)level, text);
}

/* Every question and its answer is told; with folding, as the table sees it. */
static void test_debug(void **state)
{
	struct table *t = test_table("debug:pipemap:{inline:{a=b, x=fail},static:c}", TABLE_FOLD);
	struct buf value = BUF(100);
	struct err err = {""};

	table_report_to(keep_report);
	test_lookup(t, "A", "c");
	test_lookup(t, "none", NULL);
	table_close(&t);
	t = test_table("debug:fail:x", 0);
	assert_int_equal(table_lookup(t, STR("k\n"), &value, &err), TABLE_RETRY);
	assert_string_equal(err.text, "Application error");
	table_close(&t);
	t = test_table("debug:inline:{a=b}", 0);
	assert_int_equal(table_each(t, collect, &value, &err), TABLE_FOUND);
	assert_string_equal(buf_cstr(&value), "a=b;");
	table_close(&t);
	table_report_to(NULL);
	assert_string_equal(buf_cstr(&reports),
		"1 debug:pipemap:{inline:{a=b, x=fail},static:c}: lookup \"a\": found \"c\"\n"
		"1 debug:pipemap:{inline:{a=b, x=fail},static:c}: lookup \"none\": not found\n"
		"1 debug:fail:x: lookup \"k\n\": Application error\n"
		"1 debug:inline:{a=b}: entry \"a\": found \"b\"\n");
	t = test_table("debug:regexp:{{/^A$/ b}}", TABLE_FOLD);
	assert_true(table_is_pattern(t));
	table_close(&t);
	for (size_t i = 0; i < 3; i++) {
		static const char *const specs[] = {
			"debug:regexp:{{what}}", "proxy:regexp:{{what}}", "unionmap:{regexp:{{what}}}"};

		t = test_table(specs[i], 0);
		test_warning(t, 0, "ignoring unrecognized request");
		table_close(&t);
	}
	test_open_fails("debug:", "expecting \"type:name\" form instead of \"debug:\"");
	test_open_fails("debug:nosuch:x", "unsupported dictionary type: nosuch");
	buf_free(&reports);
	buf_free(&value);
}

/* Types that are there when their module is installed are left out. */
static void add_type(void *arg, const char *type)
{
	if (strcmp(type, "ldap") && strcmp(type, "mysql") && strcmp(type, "pgsql") && strcmp(type, "sqlite"))
		buf_printf(arg, "%s ", type);
}

static void test_type_names(void **state)
{
	struct buf names = BUF(1000);

	table_each_type(add_type, &names);
	assert_string_equal(buf_cstr(&names), "btree cdb cidr debug environ fail hash inline lmdb memcache "
					      "pcre pipemap proxy randmap regexp "
					      "socketmap static tcp texthash unionmap unix ");
	buf_free(&names);
}

static int remove_files(void **state)
{
	test_files_remove();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inline),
		cmocka_unit_test(test_fold),
		cmocka_unit_test(test_long_and_nul_keys),
		cmocka_unit_test(test_result_too_long),
		cmocka_unit_test(test_listing),
		cmocka_unit_test(test_texthash),
		cmocka_unit_test(test_static),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_fail),
		cmocka_unit_test(test_combined),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_debug),
		cmocka_unit_test(test_unauthenticated),
		cmocka_unit_test(test_type_names),
	};

	return cmocka_run_group_tests(tests, NULL, remove_files);
}
