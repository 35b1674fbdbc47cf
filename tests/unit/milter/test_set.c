/* Lists of milters as the parameters give them. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../support/test_config.h"
#include "milter/milter_private.h"

static struct config milter_config(void)
{
	struct config cfg = test_config();

	cfg.milter_default_action = "tempfail";
	cfg.milter_protocol = "6";
	cfg.milter_connect_timeout = cfg.milter_command_timeout = 30;
	cfg.milter_content_timeout = 300;
	return cfg;
}

static void test_empty(void **state)
{
	const struct config cfg = milter_config();
	struct milter_set *set = milter_set_new(&cfg, " \t");

	assert_true(milter_set_empty(set));
	assert_null(milter_set_problem(set));
	milter_set_free(&set);
}

static void test_defaults(void **state)
{
	struct config cfg = milter_config();
	struct milter_set *set;

	cfg.milter_default_action = "accept";
	cfg.milter_connect_timeout = 120;
	set = milter_set_new(&cfg, "inet:localhost:1234, local:run/socket unix:/x");

	assert_int_equal(set->count, 3);
	assert_null(milter_set_problem(set));
	assert_string_equal(set->specs[0].endpoint, "inet:localhost:1234");
	assert_string_equal(set->specs[1].endpoint, "unix:run/socket");
	assert_string_equal(set->specs[2].endpoint, "unix:/x");
	assert_int_equal(set->specs[0].version, 6);
	assert_int_equal(set->specs[0].protocol, 0x1fffff);
	assert_int_equal(set->specs[0].otherwise, DEFAULT_ACCEPT);
	assert_int_equal(set->specs[2].connect_timeout, 120);
	assert_int_equal(set->specs[2].command_timeout, 30);
	assert_int_equal(set->specs[2].content_timeout, 300);
	milter_set_free(&set);
}

static void test_own_settings(void **state)
{
	const struct config cfg = milter_config();
	struct milter_set *set =
		milter_set_new(&cfg, "{ inet:h:1, default_action=quarantine, { command_timeout = 5s } "
				     "content_timeout=1m protocol=4 connect_timeout=3 }, inet:h:2");

	assert_int_equal(set->count, 2);
	assert_null(milter_set_problem(set));
	assert_int_equal(set->specs[0].otherwise, DEFAULT_QUARANTINE);
	assert_int_equal(set->specs[0].command_timeout, 5);
	assert_int_equal(set->specs[0].content_timeout, 60);
	assert_int_equal(set->specs[0].connect_timeout, 3);
	assert_int_equal(set->specs[0].version, 4);
	assert_int_equal(set->specs[0].protocol, 0x37f);
	assert_int_equal(set->specs[1].otherwise, DEFAULT_TEMPFAIL);
	milter_set_free(&set);
}

static void test_versions(void **state)
{
	static const struct {
		const char *text;
		int version;
		unsigned bits;
	} rows[] = {{"2", 2, 0x7f}, {"3", 3, 0x17f}, {"4", 4, 0x37f}, {"6", 6, 0x1fffff},
		{"6 no_header_reply", 6, 0x1fffff}, {"5", 0, 0}, {"7", 0, 0}, {"6 other", 0, 0}, {"", 0, 0}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config cfg = milter_config();
		struct milter_set *set;

		cfg.milter_protocol = rows[i].text;
		set = milter_set_new(&cfg, "inet:h:1");

		assert_int_equal(milter_set_problem(set) == NULL, rows[i].version != 0);
		if (rows[i].version) {
			assert_int_equal(set->specs[0].version, rows[i].version);
			assert_int_equal(set->specs[0].protocol, rows[i].bits);
		}
		milter_set_free(&set);
	}
}

static void test_problems(void **state)
{
	static const struct {
		const char *list, *wanted;
	} rows[] = {{"foo", "milter \"foo\": inet:host:port or unix:path is wanted"},
		{"inet:", "milter \"inet:\": inet:host:port or unix:path is wanted"},
		{"{}", "milter \"{}\": the list is empty"},
		{"{inet:h:1 default_action=foo}", "bad value of milter option \"default_action\": \"foo\""},
		{"{inet:h:1 connect_timeout=0}", "bad value of milter option \"connect_timeout\": \"0\""},
		{"{inet:h:1 foo=1}", "unknown milter option \"foo\""},
		{"{inet:h:1 foo}", "milter option \"foo\": name=value is wanted"}};
	const struct config cfg = milter_config();

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct milter_set *set = milter_set_new(&cfg, rows[i].list);

		assert_string_equal(milter_set_problem(set), rows[i].wanted);
		assert_false(milter_set_empty(set));
		assert_null(set->specs[0].endpoint);
		milter_set_free(&set);
	}
}

static void test_macro_defaults(void **state)
{
	struct config cfg = milter_config();
	struct milter_set *set;

	cfg.milter_macro_defaults = "i=none, {x}=two, { {y} = three words }";
	set = milter_set_new(&cfg, "inet:h:1");

	assert_null(milter_set_problem(set));
	assert_int_equal(set->default_count, 3);
	assert_true(str_is(set->defaults[0].name, "i") && str_is(set->defaults[0].value, "none"));
	assert_true(str_is(set->defaults[1].name, "{x}") && str_is(set->defaults[1].value, "two"));
	assert_true(str_is(set->defaults[2].name, "{y}") && str_is(set->defaults[2].value, "three words"));
	milter_set_free(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_own_settings),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_problems),
		cmocka_unit_test(test_macro_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
