#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <getopt.h>

#include "base/mem.h"
#include "service/service_args.h"

static int count(char **argv)
{
	int n = 0;

	while (argv[n])
		n++;
	return n;
}

static bool parse(const char **list, struct service_args *out, struct err *err)
{
	char **argv = (char **)(uintptr_t)list;

	optind = 0;
	return service_args_parse(count(argv), argv, NULL, NULL, NULL, out, err);
}

/* What master writes is what the service reads. */
static void round_trip(void **state)
{
	struct config_pair overrides[] = {{"smtpd_banner", "a b = c"}, {"empty", ""}, {"stress", "{ x }"}};
	struct service_args in = {
		.program = "lmtp",
		.config_dir = "/etc/x",
		.name = "127.0.0.1:25",
		.type = SERVICE_INET,
		.unprivileged = true,
		.chroot = true,
		.log_fd = true,
		.slots = 17,
		.listeners = 2,
		.service = 3,
		.worker = 4,
		.verbose = 2,
		.overrides = overrides,
		.override_count = 3,
	};
	const char *own[] = {"flags=R", "user=x", NULL};
	char **argv = service_argv_make(&in, (char **)(uintptr_t)own);
	struct service_args out;
	struct err err = {""};

	assert_true(parse((const char **)(uintptr_t)argv, &out, &err));
	assert_string_equal(out.program, "lmtp");
	assert_string_equal(out.config_dir, "/etc/x");
	assert_string_equal(out.name, "127.0.0.1:25");
	assert_int_equal(out.type, SERVICE_INET);
	assert_true(out.unprivileged && out.chroot && out.log_fd);
	assert_int_equal(out.slots, 17);
	assert_int_equal(out.listeners, 2);
	assert_int_equal(out.service, 3);
	assert_int_equal(out.worker, 4);
	assert_int_equal(out.verbose, 2);
	assert_int_equal(out.override_count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_string_equal(out.overrides[i].name, overrides[i].name);
		assert_string_equal(out.overrides[i].value, overrides[i].value);
	}
	assert_string_equal(argv[optind], "flags=R");
	assert_string_equal(argv[optind + 1], "user=x");
	service_args_free(&out);
	service_argv_free(&argv);
	assert_null(argv);
}

static void defaults_are_not_counted(void **state)
{
	const char *argv[] = {"/usr/lib/x/smtpd", "-n", "smtp", "-t", "unix", NULL};
	struct service_args out;
	struct err err = {""};

	assert_true(parse(argv, &out, &err));
	assert_string_equal(out.program, "smtpd");
	assert_int_equal(out.service, -1);
	assert_int_equal(out.worker, -1);
	assert_int_equal(out.slots, 1);
	assert_false(out.chroot || out.unprivileged || out.log_fd);
	service_args_free(&out);
}

static void bad_arguments_are_refused(void **state)
{
	static const char *const bad[][2] = {{"-o", "novalue"}, {"-o", "=x"}, {"-t", "tcp"}, {"-m", "many"},
		{"-s", ""}, {"-s", "99999999999"}};
	struct service_args out;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		const char *argv[] = {"smtpd", "-n", "smtp", bad[i][0], bad[i][1], NULL};
		struct err err = {""};

		assert_false(parse(argv, &out, &err));
		assert_string_not_equal(err.text, "");
		service_args_free(&out);
	}
}

static void a_name_is_needed(void **state)
{
	const char *argv[] = {"smtpd", "-v", NULL};
	struct service_args out;
	struct err err = {""};

	assert_false(parse(argv, &out, &err));
	service_args_free(&out);
}

static void take_letter(void *arg, int letter, const char *value)
{
	*(int *)arg = letter;
	assert_string_equal(value, "42");
}

static void own_letters_reach_the_program(void **state)
{
	const char *argv[] = {"x", "-n", "a", "-X", "42", NULL};
	struct service_args out;
	struct err err = {""};
	int seen = 0;

	optind = 0;
	assert_true(service_args_parse(5, (char **)(uintptr_t)argv, "X:", take_letter, &seen, &out, &err));
	assert_int_equal(seen, 'X');
	service_args_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(defaults_are_not_counted),
		cmocka_unit_test(bad_arguments_are_refused),
		cmocka_unit_test(a_name_is_needed),
		cmocka_unit_test(own_letters_reach_the_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
