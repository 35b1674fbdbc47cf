/* What database tables make of keys and values, and their settings. */
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/test_table.h"
#include "base/mem.h"
#include "table/settings.h"
#include "table/sql_query.h"
#include "table/template.h"

static void expands(const char *text, const char *value, const char *key, const char *wanted)
{
	struct buf out = BUF(1000);

	if (template_expand(text, str_c(value), str_c(key), NULL, NULL, &out)) {
		assert_non_null(wanted);
		assert_string_equal(buf_cstr(&out), wanted);
	} else {
		assert_null(wanted);
	}
	buf_free(&out);
}

static void query(const char *text, const char *key, const char *wanted)
{
	expands(text, key, key, wanted);
	assert_int_equal(template_applies(text, str_c(key), true), wanted != NULL);
}

static void test_query_forms(void **state)
{
	query("a%%b %s", "u@d", "a%b u@d");
	query("%s", "", NULL);
	query("%u|%d|%U|%D|%S", "u@mail.example.com",
		"u|mail.example.com|u|mail.example.com|u@mail.example.com");
	query("%u", "word", "word");
	query("%d", "word", NULL);
	query("%u", "@d", NULL);
	query("%s %d", "@d", "@d d");
	query("%u", "a@b@c", "a@b");
	query("%d", "a@", NULL);
	query("%1 %2 %3", "u@mail.example.com", "com example mail");
	query("%4", "u@mail.example.com", NULL);
	query("%1", "mail.example.com", NULL);
	query("%2", "u@.com", NULL);
	query("%1 %2", "u@one.example.", "example one");
	query("%1 %2", "u@a..b", "b a");
	query("%3", "u@a..b", NULL);
	query("%1", "u@..", NULL);
	query("%%%", "x", "%");
}

static void test_result_forms(void **state)
{
	expands("smtp:[%s]", "host", "key", "smtp:[host]");
	expands("%s", "", "key", NULL);
	expands("%u at %d for %U", "a@b", "k@e", "a at b for k");
	expands("%d", "unqualified", "k@e", NULL);
	expands("%u", "@b", "k@e", NULL);
	expands("%2.%1", "v", "k@a.b", "a.b");
	assert_true(template_applies("%s %u %d", STR("word"), false));
	assert_false(template_applies("%s %D", STR("word"), false));
}

static void test_unknown_forms(void **state)
{
	struct err err;

	assert_true(template_check("query", "%% %s %u %d %S %U %D %1 %9", &err));
	assert_false(template_check("query", "like '%x'", &err));
	assert_string_equal(err.text, "query: unknown form %x in \"like '%x'\"");
	assert_false(template_check("query", "%0", &err));
	assert_false(template_check("query", "100%", &err));
}

static bool double_quotes(void *arg, struct str text, struct buf *out)
{
	buf_printf(out, "<" STR_FMT ">", STR_ARG(text));
	return *(bool *)arg;
}

static void test_quoting(void **state)
{
	struct buf out = BUF(100);
	bool good = true;

	assert_true(template_expand("'%u' '%d' %%", STR("a'@b"), STR("a'@b"), double_quotes, &good, &out));
	assert_string_equal(buf_cstr(&out), "'<a'>' '<b>' %");
	good = false;
	assert_false(template_expand("%u", STR("a"), STR("a"), double_quotes, &good, &out));
	buf_free(&out);
	out = BUF(3);
	assert_false(template_expand("%s%s", STR("abc"), STR("abc"), NULL, NULL, &out));
	buf_free(&out);
}

static void test_settings_file(void **state)
{
	struct err err = {""};
	struct settings *s = settings_open(
		test_file("t.cf",
			"# comment\nquery = select a\n  from b = $c\nn=7\nyes = Yes\nempty =\nn = 8\n"),
		NULL, &err);
	bool on;
	int n;

	assert_non_null(s);
	assert_string_equal(settings_text(s, "query", ""), "select a  from b = $c");
	assert_string_equal(settings_text(s, "empty", "x"), "");
	assert_string_equal(settings_text(s, "none", "x"), "x");
	assert_true(settings_number(s, "n", 1, 0, 8, &n, &err));
	assert_int_equal(n, 8);
	assert_true(settings_number(s, "none", 5, 0, 8, &n, &err));
	assert_int_equal(n, 5);
	assert_false(settings_number(s, "n", 1, 0, 7, &n, &err));
	assert_string_equal(err.text, "n = 8: a number from 0 to 7 is wanted");
	assert_true(settings_bool(s, "yes", false, &on, &err));
	assert_true(on);
	assert_false(settings_bool(s, "n", false, &on, &err));
	assert_string_equal(settings_warning(s, 0), "line 7: overriding earlier entry: n");
	assert_null(settings_warning(s, 1));
	settings_close(&s);
	assert_null(settings_open(test_file("t.cf", "no sign\n"), NULL, &err));
	assert_null(settings_open("/nonexistent/t.cf", NULL, &err));
	assert_string_equal(err.text, "open /nonexistent/t.cf: No such file or directory");
}

static char *parameter(const char *name)
{
	return strcmp(name, "src_table") == 0 ? x_strdup("t") : NULL;
}

static void test_settings_of_main_cf(void **state)
{
	struct err err;
	struct settings *s = settings_open("src", parameter, &err);

	assert_string_equal(settings_text(s, "table", ""), "t");
	assert_string_equal(settings_text(s, "table", ""), "t");
	assert_string_equal(settings_text(s, "src_table", "none"), "none");
	assert_null(sql_query(s, false, &err));
	assert_string_equal(err.text, "query is not set");
	settings_close(&s);
}

static void query_of(const char *file, bool with_function, const char *wanted)
{
	struct err err;
	struct settings *s = settings_open(test_file("q.cf", file), NULL, &err);
	char *text = sql_query(s, with_function, &err);

	if (wanted)
		assert_string_equal(text, wanted);
	else
		assert_null(text);
	x_free(&text);
	settings_close(&s);
}

static void test_sql_query(void **state)
{
	const char *parts = "select_field = f\ntable = t\nwhere_field = w\nadditional_conditions = and "
			    "x\nselect_function = fn\n";

	query_of(parts, false, "SELECT f FROM t WHERE w = '%s' and x");
	query_of(parts, true, "SELECT fn('%s')");
	query_of("query = q %s\nselect_function = fn\n", true, "q %s");
	query_of("query = q %x\n", true, NULL);
	query_of("query =\nselect_function =\nselect_field = f\ntable = t\nwhere_field = w\n", true,
		"SELECT f FROM t WHERE w = '%s' ");
	query_of("query =\nselect_field = f\ntable =\nwhere_field = w\n", false, NULL);
}

static int remove_files(void **state)
{
	test_files_remove();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_query_forms),
		cmocka_unit_test(test_result_forms),
		cmocka_unit_test(test_unknown_forms),
		cmocka_unit_test(test_quoting),
		cmocka_unit_test(test_settings_file),
		cmocka_unit_test(test_settings_of_main_cf),
		cmocka_unit_test(test_sql_query),
	};
	return cmocka_run_group_tests(tests, NULL, remove_files);
}
