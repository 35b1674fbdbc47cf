#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/master_cf.h"

static const struct config *config_of(const char *text)
{
	struct config_source source = {.directory = "/cf", .main_text = text};
	struct err err;
	const struct config *cfg = config_load(&source, NULL, NULL, &err);

	if (!cfg)
		fail_msg("%s", err.text);
	return cfg;
}

static struct master_cf *parsed(const struct config *cfg, const char *text)
{
	struct err err = {""};
	struct master_cf *m = master_cf_parse(cfg, str_c(text), "/cf/master.cf", &err);

	if (!m)
		fail_msg("%s", err.text);
	return m;
}

static void test_columns(void **state)
{
	const struct config *cfg = config_of("compatibility_level = 3.6\n");
	struct master_cf *m = parsed(cfg,
		"# c\nsmtp inet n - - - - smtpd\nqmgr unix n - y 300? 1 qmgr\nsmtp unix - n n - 0 smtp\n"
		"postlog unix-dgram n - n - 1 postlogd\nf fifo n - n 5 1 x\np pass - - n - - smtpd\n");
	const struct master_service *s = &m->services[0];

	assert_int_equal(m->count, 6);
	assert_int_equal(s->type, SERVICE_INET);
	assert_false(s->is_private);
	assert_true(s->unprivileged);
	assert_false(s->chroot);
	assert_int_equal(s->maxproc, -1);
	assert_int_equal(s->line, 2);
	s = master_cf_find(m, "qmgr", SERVICE_UNIX);
	assert_true(s && s->chroot && !s->is_private && s->wakeup_if_used);
	assert_int_equal(s->wakeup, 300);
	assert_int_equal(s->maxproc, 1);
	s = master_cf_find(m, "smtp", SERVICE_UNIX);
	assert_true(s && s->is_private && !s->unprivileged && s->maxproc == 0);
	assert_null(master_cf_find(m, "qmgr", SERVICE_INET));
	assert_string_equal(service_type_name(m->services[3].type), "unix-dgram");
	master_cf_free(&m);
	config_free(&cfg);
}

static void test_old_level(void **state)
{
	const struct config *cfg = config_of("");
	struct master_cf *m = parsed(cfg, "smtp inet n - - - - smtpd\n");

	assert_true(m->services[0].chroot);
	master_cf_free(&m);
	config_free(&cfg);
}

static void test_arguments(void **state)
{
	const struct config *cfg = config_of("");
	struct master_cf *m =
		parsed(cfg, "a inet n - n - - smtpd -v -voaaa=bbb\n  # c\n  -o { relayhost = a b } -o\n  x=y "
			    "-o{ z = 1 2 }\n"
			    "b unix - n n - - pipe flags=R user=x argv=/bin/sh -o z=1 {a  b} {}\n");
	const struct master_service *s = &m->services[0];

	assert_string_equal(s->argv[1], "-v");
	assert_string_equal(s->argv[2], "-v");
	assert_null(s->argv[3]);
	assert_int_equal(s->override_count, 4);
	assert_string_equal(s->overrides[3].value, "1 2");
	assert_string_equal(s->overrides[0].name, "aaa");
	assert_string_equal(s->overrides[1].value, "a b");
	assert_string_equal(s->overrides[2].value, "y");
	s = &m->services[1];
	assert_int_equal(s->override_count, 0);
	assert_string_equal(s->argv[4], "-o");
	assert_string_equal(s->argv[6], "a  b");
	assert_string_equal(s->argv[7], "");
	assert_null(s->argv[8]);
	master_cf_free(&m);
	config_free(&cfg);
}

static void test_errors(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"a b c\n", "/cf/master.cf: line 1: bad field count"},
		{"a inet n - n - -\n", "/cf/master.cf: line 1: bad field count"},
		{"\n\na xxxx n - n - - x\n",
			"/cf/master.cf: line 3: invalid type field \"xxxx\" in \"a xxxx n - n - - x\""},
		{"a unix x - n - - x\n", "/cf/master.cf: line 1: invalid private field \"x\""},
		{"a unix - x n - - x\n", "/cf/master.cf: line 1: invalid unprivileged field \"x\""},
		{"a unix - - x - - x\n", "/cf/master.cf: line 1: invalid chroot field \"x\""},
		{"a unix - - n 1x - x\n", "/cf/master.cf: line 1: invalid wakeup field \"1x\""},
		{"a unix - - n 99999999999 - x\n", "/cf/master.cf: line 1: invalid wakeup field"},
		{"a unix - - n - -1 x\n", "/cf/master.cf: line 1: invalid process_limit field \"-1\""},
		{"a inet y - n - - x\n", "/cf/master.cf: line 1: inet service \"a\" cannot be private"},
		{"a unix - - n - - x -o foo\n",
			"/cf/master.cf: line 1: missing '=' after attribute name: \"foo\""},
		{"a unix - - n - - x -o\n", "/cf/master.cf: line 1: -o without name=value"},
		{"a unix - - n - - x { y\n", "/cf/master.cf: line 1: missing '}' in \"{ y\""},
		{"a unix - - n - - ../x\n", "/cf/master.cf: line 1: bad program name \"../x\": names a path"},
		{" a unix - - n - - x\n",
			"/cf/master.cf: line 1: logical line must not start with whitespace"},
		{"a unix - - n - - x\na unix - - n - - y\n",
			"/cf/master.cf: line 2: duplicate entry for service \"a\" type \"unix\""},
	};
	const struct config *cfg = config_of("");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = {""};

		assert_null(master_cf_parse(cfg, str_c(cases[i].text), "/cf/master.cf", &err));
		if (strncmp(err.text, cases[i].error, strlen(cases[i].error)) != 0)
			fail_msg("want: %s\ngot:  %s", cases[i].error, err.text);
	}
	config_free(&cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_old_level),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
