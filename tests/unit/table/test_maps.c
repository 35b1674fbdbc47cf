/* Lists of tables, the order of address lookups, and match lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/test_table.h"
#include "base/mem.h"

static struct maps *open_maps(const char *list)
{
	struct err err = {""};
	struct maps *m = maps_open("test_maps", list, TABLE_FOLD, &err);

	if (!m)
		fail_msg("%s", err.text);
	return m;
}

static void count(void *arg, const char *text)
{
	++*(int *)arg;
}

static void test_first_answer(void **state)
{
	struct maps *m = open_maps("inline:{a=1}, proxy:inline:{a=2,b=3}\n inline:{{c=4 5}}");
	struct buf value = BUF(100);
	struct err err;

	assert_false(maps_empty(m));
	assert_int_equal(maps_lookup(m, STR("A"), &value, &err), TABLE_FOUND);
	assert_int_equal(maps_lookup(m, STR("b"), &value, &err), TABLE_FOUND);
	assert_int_equal(maps_lookup(m, STR("c"), &value, &err), TABLE_FOUND);
	assert_int_equal(maps_lookup(m, STR("d"), &value, &err), TABLE_NOT_FOUND);
	assert_string_equal(buf_cstr(&value), "134 5");
	maps_close(&m);
	m = open_maps("");
	assert_true(maps_empty(m));
	assert_int_equal(maps_lookup(m, STR("a"), &value, &err), TABLE_NOT_FOUND);
	maps_close(&m);
	assert_null(maps_open("test_maps", "inline:{a=1", 0, &err));
	buf_free(&value);
}

/* A member that cannot be opened harms only what gets to it. */
static void test_broken_member(void **state)
{
	struct maps *m = open_maps("inline:{a=1}, texthash:/nonexistent/file, inline:{b=2}");
	struct buf value = BUF(100);
	struct err err = {""};
	int warnings = 0;

	maps_warnings(m, count, &warnings);
	assert_int_equal(warnings, 1);
	assert_int_equal(maps_lookup(m, STR("a"), &value, &err), TABLE_FOUND);
	assert_int_equal(maps_lookup(m, STR("b"), &value, &err), TABLE_MISCONFIGURED);
	assert_non_null(
		strstr(err.text, "texthash:/nonexistent/file is unavailable. open /nonexistent/file"));
	maps_close(&m);
	m = open_maps("plainword");
	assert_int_equal(maps_lookup(m, STR("a"), &value, &err), TABLE_MISCONFIGURED);
	maps_close(&m);
	buf_free(&value);
}

/* What is made later is found later. */
static void test_broken_member_heals(void **state)
{
	char *path = x_strdup(test_file("late", ""));
	char *spec = x_asprintf("texthash:%s", path);
	struct buf value = BUF(100);
	struct err err = {""};
	struct maps *m;

	unlink(path);
	m = open_maps(spec);
	assert_int_equal(maps_lookup(m, STR("k"), &value, &err), TABLE_MISCONFIGURED);
	test_file("late", "k v\n");
	assert_int_equal(maps_lookup(m, STR("k"), &value, &err), TABLE_MISCONFIGURED);
	usleep(2100000);
	assert_int_equal(maps_lookup(m, STR("K"), &value, &err), TABLE_FOUND);
	assert_string_equal(buf_cstr(&value), "v");
	maps_close(&m);
	buf_free(&value);
	x_free(&spec);
	x_free(&path);
}

static void test_parts_skip_patterns(void **state)
{
	struct maps *m = open_maps("regexp:{{/./ re}}, inline:{a=1}");
	struct buf value = BUF(100);
	struct err err;

	assert_int_equal(maps_lookup_part(m, STR("a"), &value, &err), TABLE_FOUND);
	assert_string_equal(buf_cstr(&value), "1");
	maps_close(&m);
	buf_free(&value);
}

struct address_case {
	const char *maps, *address, *delimiters;
	bool local;
	const char *value, *extension;
};

static const struct address_case address_cases[] = {
	{"inline:{u+e@x.org=1,u@x.org=2,u+e=3,u=4,@x.org=5}", "u+e@x.org", "+", true, "1", ""},
	{"inline:{u@x.org=2,u+e=3,u=4,@x.org=5}", "u+e@x.org", "+", true, "2", "+e"},
	{"inline:{u+e=3,u=4,@x.org=5}", "u+e@x.org", "+", true, "3", ""},
	{"inline:{u=4,@x.org=5}", "u+e@x.org", "+", true, "4", "+e"},
	{"inline:{u=4,@x.org=5}", "u+e@x.org", "+", false, "5", ""},
	{"inline:{@x.org=5}", "u@x.org", "+", true, "5", ""},
	{"inline:{u@x.org=2}", "u+e@x.org", "", true, NULL, ""},
	{"inline:{u@x.org=2}", "u-e+f@x.org", "+-", true, "2", "-e+f"},
	{"inline:{u@x.org=2}", "U@X.ORG", "+", true, "2", ""},
	{"inline:{x.org=6}", "u@x.org", "+", true, NULL, ""},
	{"inline:{{\"a b\"@x.org=quoted}}", "a b@x.org", "+", true, "quoted", ""},
	{"inline:{{a b@x.org=plain}}", "a b@x.org", "+", true, "plain", ""},
	{"inline:{{\"a b\"@x.org=quoted}}", "a b+e@x.org", "+", true, "quoted", "+e"},
	{"regexp:{{/^u@x.org$/ re}}", "u+e@x.org", "+", true, NULL, ""},
	{"regexp:{{/^u\\+e@x.org$/ re}}", "u+e@x.org", "+", true, "re", ""},
	{"inline:{{\"a@b\"=bare}}", "a@b@x.org", "+", true, "bare", ""},
	{"inline:{{\"a.b.\"=bare}}", "a.b.@x.org", "+", true, "bare", ""},
	{"inline:{user=1}", "user", "+", true, "1", ""},
	{"inline:{user=1}", "user+e", "+", true, "1", "+e"},
	{"inline:{u@x.org=}", "u@x.org", "+", true, "", ""},
	{"inline:{@x.org=}", "u@x.org", "+", true, "", ""},
	{"", "u@x.org", "+", true, NULL, ""},
};

/* An empty result is a mistake in the table. */
static enum table_status wanted_status(const char *value)
{
	if (!value)
		return TABLE_NOT_FOUND;
	return value[0] ? TABLE_FOUND : TABLE_MISCONFIGURED;
}

static void test_addresses(void **state)
{
	for (size_t i = 0; i < sizeof(address_cases) / sizeof(*address_cases); i++) {
		const struct address_case *c = &address_cases[i];
		struct maps *m = open_maps(c->maps);
		struct buf value = BUF(100);
		struct err err;
		struct str kept;
		enum table_status status = maps_lookup_address(
			m, str_c(c->address), c->delimiters, c->local, &value, &kept, &err);

		if (status != wanted_status(c->value))
			fail_msg("%s in %s: status %d", c->address, c->maps, status);
		if (c->value)
			assert_string_equal(buf_cstr(&value), c->value);
		if (status == TABLE_MISCONFIGURED)
			assert_non_null(strstr(err.text, "returns an empty string result"));
		assert_true(str_is(kept, c->extension));
		buf_free(&value);
		maps_close(&m);
	}
}

static void test_addresses_as_written(void **state)
{
	struct maps *m = open_maps("inline:{{a..b@x.org=plain}, {\"c..d\"=quoted}, u=2}");
	struct buf value = BUF(100);
	struct err err;
	struct str kept;

	assert_int_equal(
		maps_lookup_written(m, STR("a..b@x.org"), "+", true, &value, &kept, &err), TABLE_NOT_FOUND);
	assert_int_equal(
		maps_lookup_written(m, STR("c..d@x.org"), "+", true, &value, &kept, &err), TABLE_FOUND);
	assert_string_equal(buf_cstr(&value), "quoted");
	buf_clear(&value);
	assert_int_equal(
		maps_lookup_written(m, STR("u+e@x.org"), "+", true, &value, &kept, &err), TABLE_FOUND);
	assert_true(str_is(kept, "+e"));
	buf_free(&value);
	maps_close(&m);
}

static void test_address_trouble(void **state)
{
	struct maps *m = open_maps("fail:x");
	struct buf value = BUF(100);
	struct err err;

	assert_int_equal(maps_lookup_address(m, STR("u@x.org"), "+", true, &value, NULL, &err), TABLE_RETRY);
	assert_int_equal(maps_lookup_user(m, STR("u@x.org"), "+", &value, NULL, &err), TABLE_RETRY);
	maps_close(&m);
	m = open_maps("inline:{@x.org=1}");
	assert_int_equal(maps_lookup_user(m, STR("u@x.org"), "+", &value, NULL, &err), TABLE_NOT_FOUND);
	maps_close(&m);
	buf_free(&value);
}

struct match_case {
	const char *list;
	int flags;
	const char *name, *address; /* address NULL: matchlist_name */
	enum table_status status;
};

static const struct match_case match_cases[] = {
	{"a.org, b.org", 0, "B.ORG", NULL, TABLE_FOUND},
	{"a.org, b.org", 0, "x.b.org", NULL, TABLE_NOT_FOUND},
	{".b.org", 0, "x.b.org", NULL, TABLE_FOUND},
	{".b.org", 0, "b.org", NULL, TABLE_NOT_FOUND},
	{".b.org", MATCH_EXACT, "x.b.org", NULL, TABLE_NOT_FOUND},
	{"b.org", MATCH_PARENT, "x.y.b.org", NULL, TABLE_FOUND},
	{"b.org", MATCH_PARENT, "xb.org", NULL, TABLE_NOT_FOUND},
	{"!x.b.org, .b.org", 0, "x.b.org", NULL, TABLE_NOT_FOUND},
	{"!x.b.org, .b.org", 0, "y.b.org", NULL, TABLE_FOUND},
	{"!!b.org", 0, "b.org", NULL, TABLE_FOUND},
	{"inline:{b.org=1}", 0, "x.b.org", NULL, TABLE_NOT_FOUND},
	{"inline:{.b.org=1}", 0, "x.y.b.org", NULL, TABLE_FOUND},
	{"inline:{b.org=1}", MATCH_PARENT, "x.y.b.org", NULL, TABLE_FOUND},
	{"inline:{b.org=1}", MATCH_EXACT, "x.b.org", NULL, TABLE_NOT_FOUND},
	{"regexp:{{/^b.org$/ x}}", MATCH_PARENT, "x.b.org", NULL, TABLE_NOT_FOUND},
	{"!inline:{b.org=1} static:x", 0, "b.org", NULL, TABLE_NOT_FOUND},
	{"fail:x, b.org", 0, "b.org", NULL, TABLE_RETRY},
	{"b.org, fail:x", 0, "b.org", NULL, TABLE_FOUND},
	{"texthash:/nonexistent", 0, "b.org", NULL, TABLE_MISCONFIGURED},
	{"", 0, "b.org", NULL, TABLE_NOT_FOUND},
	{"b.org", 0, "", NULL, TABLE_NOT_FOUND},
	{"127.0.0.0/8, [::1]/128", 0, "unknown", "127.1.2.3", TABLE_FOUND},
	{"127.0.0.0/8, [::1]/128", 0, "unknown", "::1", TABLE_FOUND},
	{"127.0.0.0/8, [::1]/128", 0, "unknown", "128.1.2.3", TABLE_NOT_FOUND},
	{"192.0.2.1", 0, "unknown", "192.0.2.1", TABLE_FOUND},
	{"[2001:db8::1]", 0, "unknown", "2001:db8:0::1", TABLE_FOUND},
	{"!192.0.2.1, 192.0.2.0/24", 0, "unknown", "192.0.2.1", TABLE_NOT_FOUND},
	{".b.org", 0, "x.b.org", "192.0.2.1", TABLE_FOUND},
	{"cidr:{{192.0.2.0/24 x}}", 0, "unknown", "192.0.2.9", TABLE_FOUND},
	{"inline:{192.0.2.9=x}", 0, "unknown", "192.0.2.9", TABLE_FOUND},
	{"192.0.2.1/24", 0, "unknown", "192.0.2.1", TABLE_MISCONFIGURED},
	{"192.0.2.0/24, 10.0.0.1/8", 0, "unknown", "192.0.2.1", TABLE_FOUND},
	{"192.0.2.1/24, [2001:db8::]/32", 0, "unknown", "2001:db8::1", TABLE_FOUND},
	{"[2001:db8::1]/32, 192.0.2.1", 0, "unknown", "192.0.2.1", TABLE_FOUND},
	{"[2001:db8::1]/32, 192.0.2.1", 0, "unknown", "2001:db8::1", TABLE_MISCONFIGURED},
	{"[::1, 192.0.2.1", 0, "unknown", "::1", TABLE_MISCONFIGURED},
	{"[be:be]", 0, "unknown", "::1", TABLE_MISCONFIGURED},
	{"[be:be]", 0, "unknown", "192.0.2.1", TABLE_NOT_FOUND},
	{"192/8", 0, "unknown", "192.0.2.1", TABLE_MISCONFIGURED},
	{"[192.0.2.1", 0, "unknown", "192.0.2.1", TABLE_NOT_FOUND},
	{"192.0.2.1/x", 0, "unknown", "192.0.2.1", TABLE_NOT_FOUND},
	{"x/y [z] [] b.org/24", 0, "b.org", "192.0.2.1", TABLE_NOT_FOUND},
	{"192.0.2.1/24", 0, "b.org", NULL, TABLE_NOT_FOUND},
	{"127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128", 0, "unknown", "192.0.2.1", TABLE_NOT_FOUND},
	{"[::ffff:192.0.2.0]/120", 0, "unknown", "192.0.2.9", TABLE_FOUND},
	{"[::ffff:192.0.2.1]/90", 0, "unknown", "2001:db8::1", TABLE_MISCONFIGURED},
};

static void test_matchlists(void **state)
{
	for (size_t i = 0; i < sizeof(match_cases) / sizeof(*match_cases); i++) {
		const struct match_case *c = &match_cases[i];
		struct err err = {""};
		struct matchlist *m = matchlist_open("test_list", c->list, c->flags, &err);
		enum table_status status;

		assert_non_null(m);
		if (c->address)
			status = matchlist_host(m, str_c(c->name), str_c(c->address), &err);
		else
			status = matchlist_name(m, str_c(c->name), &err);
		if (status != c->status)
			fail_msg("%s: %s %s: %d %s", c->list, c->name, c->address, status, err.text);
		matchlist_close(&m);
	}
}

static void test_match_files(void **state)
{
	char *inner = x_strdup(test_file("inner", "# comment\nc.org\n !d.org\n.d.org\n"));
	char *text = x_asprintf("a.org\nb.org %s\n", inner);
	char *outer = x_strdup(test_file("outer", text));
	char *list = x_asprintf("!%s e.org", outer);
	struct err err = {""};
	struct matchlist *m = matchlist_open("test_list", outer, 0, &err);

	assert_int_equal(matchlist_name(m, STR("a.org"), &err), TABLE_FOUND);
	assert_int_equal(matchlist_name(m, STR("c.org"), &err), TABLE_FOUND);
	assert_int_equal(matchlist_name(m, STR("d.org"), &err), TABLE_NOT_FOUND);
	assert_int_equal(matchlist_name(m, STR("x.d.org"), &err), TABLE_FOUND);
	assert_int_equal(matchlist_name(m, STR("comment"), &err), TABLE_NOT_FOUND);
	matchlist_close(&m);
	m = matchlist_open("test_list", list, 0, &err);
	assert_int_equal(matchlist_name(m, STR("a.org"), &err), TABLE_NOT_FOUND);
	assert_int_equal(matchlist_name(m, STR("e.org"), &err), TABLE_FOUND);
	matchlist_close(&m);
	m = matchlist_open("test_list", "a.org, /nonexistent/list, b.org", 0, &err);
	assert_int_equal(matchlist_name(m, STR("a.org"), &err), TABLE_FOUND);
	assert_int_equal(matchlist_name(m, STR("b.org"), &err), TABLE_MISCONFIGURED);
	assert_non_null(strstr(err.text,
		"test_list: /nonexistent/list is unavailable. open /nonexistent/list: No such file"));
	matchlist_close(&m);
	assert_null(matchlist_open("test_list", "a.org, !", 0, &err));
	test_file("outer", outer);
	assert_null(matchlist_open("test_list", outer, 0, &err));
	assert_non_null(strstr(err.text, "nested too deeply"));
	x_free(&list);
	x_free(&outer);
	x_free(&text);
	x_free(&inner);
}

static void test_parent_flag(void **state)
{
	assert_int_equal(matchlist_parent_flag("relay_domains, mynetworks", "mynetworks"), MATCH_PARENT);
	assert_int_equal(matchlist_parent_flag("relay_domains, mynetworks", "networks"), 0);
	assert_int_equal(matchlist_parent_flag("", "mynetworks"), 0);
}

static int remove_files(void **state)
{
	test_files_remove();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_answer),
		cmocka_unit_test(test_broken_member),
		cmocka_unit_test(test_broken_member_heals),
		cmocka_unit_test(test_parts_skip_patterns),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_addresses_as_written),
		cmocka_unit_test(test_address_trouble),
		cmocka_unit_test(test_matchlists),
		cmocka_unit_test(test_match_files),
		cmocka_unit_test(test_parent_flag),
	};

	return cmocka_run_group_tests(tests, NULL, remove_files);
}
