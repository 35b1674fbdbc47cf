#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../spool/spool_fixture.h"
#include "base/clock.h"
#include "base/sys.h"
#include "deliver/deliver_command.h"
#include "table/table.h"

#define NOBODY 65534

static uid_t command_uid(void)
{
	return geteuid() ? geteuid() : NOBODY;
}

/* Runs a command line with the message on its input; the text of the outcome, its status before it. */
static const char *outcome(struct fixture *f, const char *line, struct str content, int seconds)
{
	struct queue_id id = fixture_write(f, QUEUE_ACTIVE, content);
	struct deliver_form form = {.eol = "\n"};
	struct deliver_environment env;
	struct deliver_command_result result;
	struct deliver_command command = {
		.program = "test: fatal", .uid = command_uid(), .gid = geteuid() ? getegid() : NOBODY};
	struct deliver_job job = {.pool = f->pool, .sender = ""};
	const struct dsn *dsn;
	struct err err;

	assert_int_equal(spool_open_content(f->spool, QUEUE_ACTIVE, &id, &job.reader, &err), SPOOL_OK);
	deliver_environment_begin(&env, f->pool, "{ A=b c } HOME=/x");
	deliver_environment_set(&env, "EXT", "a`b", "ab");
	deliver_environment_set(&env, "NONE", NULL, NULL);
	command.argv = deliver_shell_words(f->pool, line, "");
	command.env = env.list;
	command.time_limit = seconds;
	deliver_command_run(&job, STR("Head: x\n"), &form, &command, &result);
	dsn = deliver_command_status(f->pool, &result, line, "ok");
	buf_free(&result.output);
	spool_reader_free(&job.reader);
	return pool_printf(f->pool, "%s %s", dsn->status, dsn->reason);
}

static int open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void test_outcomes(void **state)
{
	static const struct {
		const char *line, *wanted;
	} cases[] = {
		{"exit 0", "2.0.0 ok"},
		{"true", "2.0.0 ok"},
		{"echo hidden", "2.0.0 ok"},
		{"exit 3", "5.3.0 Command died with status 3: \"exit 3\""},
		{"exit 67", "5.1.1 user unknown"},
		{"exit 75", "4.3.0 temporary failure"},
		{"echo a; echo b; exit 77", "5.7.0 permission denied. Command output: a b "},
		{"echo 5.7.9 no way; exit 75", "5.7.9 no way "},
		{"echo 4.5.6 later; exit 1", "4.5.6 later "},
		{"echo 2.0.0 fine; exit 64", "5.3.0 command line usage error. Command output: 2.0.0 fine "},
		{"kill -9 $$", "4.3.0 Command died with signal 9: \"kill -9 $$\""},
		{"printf 'a\\001\\377b'; exit 65", "5.6.0 data format error. Command output: a__b"},
		{"cat >&2; exit 70",
			"5.3.0 internal software error. Command output: Head: x Subject: y  text "},
		{"echo \"$A $EXT $HOME\"; exit 70",
			"5.3.0 internal software error. Command output: b c a_b /x "},
		{"/no/such/thing",
			"4.3.0 temporary failure. Command output: test: fatal: execvp /no/such/thing: "
			"No such file or directory "},
		{"no-such-thing",
			"4.3.0 temporary failure. Command output: test: fatal: execvp no-such-thing: "
			"No such file or directory "},
	};
	int before = open_descriptors();

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(outcome(*state, cases[i].line, STR("Subject: y\r\n\r\ntext\r\n"), 100),
			cases[i].wanted);
	assert_int_equal(open_descriptors(), before);
}

/* A program is looked for where its own environment says, not where that of the daemon does. */
static void test_path(void **state)
{
	struct fixture *f = *state;
	char directory[] = "/tmp/postern-path.XXXXXX", *old = strdup(getenv("PATH"));
	const char *other;
	FILE *script;

	assert_non_null(mkdtemp(directory));
	other = pool_printf(f->pool, "%s/true", directory);
	script = fopen(other, "w");
	assert_non_null(script);
	fputs("#!/bin/sh\nexit 67\n", script);
	fclose(script);
	chmod(other, 0755);
	chmod(directory, 0755);
	setenv("PATH", directory, 1);
	assert_string_equal(outcome(f, "true", STR("x\r\n"), 100), "2.0.0 ok");
	setenv("PATH", old, 1);
	free(old);
	unlink(other);
	rmdir(directory);
}

static void test_rights(void **state)
{
	struct fixture *f = *state;
	const char *text =
		outcome(f, "id -u; id -G; umask; ls /proc/self/fd | wc -l; exit 70", STR("x\r\n"), 100);
	const char *wanted = pool_printf(f->pool, "Command output: %u ", command_uid());

	assert_non_null(strstr(text, wanted));
	if (geteuid() == 0)
		assert_non_null(strstr(text, "65534 65534 "));
	assert_non_null(strstr(text, " 4 "));
}

/* More than a pipe holds both ways: neither waits for the other. */
static void test_large_messages(void **state)
{
	struct buf content = BUF(2000000);
	struct fixture *f = *state;

	for (int i = 0; i < 20000; i++)
		buf_puts(&content,
			"0123456789012345678901234567890123456789012345678901234567890123456789\r\n");
	assert_string_equal(outcome(f, "exit 0", buf_slice(&content), 100), "2.0.0 ok");
	assert_string_equal(outcome(f, "cat", buf_slice(&content), 100), "2.0.0 ok");
	assert_string_equal(outcome(f, "test `wc -c` = 1420008", buf_slice(&content), 100), "2.0.0 ok");
	assert_true(strlen(outcome(f, "cat; exit 1", buf_slice(&content), 100)) < DELIVER_OUTPUT_MAX + 100);
	buf_free(&content);
}

/* Whether some process has the mark in its arguments. */
static bool runs(const char *mark)
{
	DIR *d = opendir("/proc");
	bool found = false;

	for (struct dirent *e; !found && (e = readdir(d)) != NULL;) {
		struct buf text = BUF(100000);
		char path[300];

		snprintf(path, sizeof(path), "/proc/%s/cmdline", e->d_name);
		found = sys_read_file(path, &text, NULL) &&
			memmem(buf_cstr(&text), text.len, mark, strlen(mark));
		buf_free(&text);
	}
	closedir(d);
	return found;
}

static void test_time_limit(void **state)
{
	struct fixture *f = *state;
	char mark[64], line[200];
	const char *text;

	snprintf(mark, sizeof(mark), "9%d.%lld", getpid(), (long long)clock_mono());
	snprintf(line, sizeof(line), "trap '' TERM; sleep %s & sleep %s; echo never", mark, mark);
	text = outcome(f, line, STR("x\r\n"), 1);
	assert_string_equal(text, pool_printf(f->pool, "4.3.0 Command time limit exceeded: \"%s\"", line));
	for (int i = 0; i < 6000 && runs(mark); i++)
		usleep(10000);
	assert_false(runs(mark));
}

static void test_nothing_runs_as_root(void **state)
{
	struct fixture *f = *state;
	const struct deliver_command command = {.program = "test: fatal", .uid = 0};
	struct deliver_command_result result;
	struct deliver_job job = {.pool = f->pool};
	struct deliver_form form = {.eol = "\n"};

	deliver_command_run(&job, STR(""), &form, &command, &result);
	assert_int_equal(result.end, COMMAND_NOT_STARTED);
	assert_string_equal(deliver_command_status(f->pool, &result, "x", "ok")->status, "4.3.0");
}

/* No process, no descriptor: a delay, and nothing is left open. */
static void test_failed_start(void **state)
{
	struct rlimit old, none;
	int before = open_descriptors();

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = (rlim_t)before + 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_string_equal(outcome(*state, "exit 0", STR("x\r\n"), 100), "4.3.0 temporary failure");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(open_descriptors(), before);
}

static void test_shell_words(void **state)
{
	struct pool *pool = pool_new(1024);
	const char *const *w = deliver_shell_words(pool, " /bin/x  -a b=c ", "");

	assert_string_equal(w[0], "/bin/x");
	assert_string_equal(w[2], "b=c");
	assert_null(w[3]);
	w = deliver_shell_words(pool, "/bin/x $USER", "");
	assert_string_equal(w[0], "/bin/sh");
	assert_string_equal(w[1], "-c");
	assert_string_equal(w[2], "/bin/x $USER");
	assert_null(w[3]);
	w = deliver_shell_words(pool, "exit 3", "");
	assert_string_equal(w[2], "exit 3");
	w = deliver_shell_words(pool, "A=b /bin/x", "");
	assert_string_equal(w[0], "/bin/sh");
	w = deliver_shell_words(pool, "/bin/x", "/bin/smrsh -r");
	assert_string_equal(w[0], "/bin/smrsh");
	assert_string_equal(w[2], "/bin/x");
	assert_null(w[3]);
	pool_free(&pool);
}

static void test_filter(void **state)
{
	struct pool *pool = pool_new(1024);
	struct err err;
	struct maps *maps = maps_open("f",
		"inline:{{2.0.0 a=2.1.5 b}, {5.0.0 a=4.1.1 soft}, {4.0.0 a=2.0.0 not so}, {5.1.0 a=5.2.2}}",
		0, &err);
	static const struct {
		enum dsn_action action;
		const char *status, *wanted;
		enum dsn_action becomes;
	} cases[] = {
		{DSN_DELIVERED, "2.0.0", "2.1.5 b", DSN_DELIVERED},
		{DSN_FAILED, "5.0.0", "4.1.1 soft", DSN_DELAYED},
		{DSN_DELAYED, "4.0.0", "4.0.0 a", DSN_DELAYED},
		{DSN_FAILED, "5.1.0", "5.1.0 a", DSN_FAILED},
		{DSN_FAILED, "5.1.1", "5.1.1 a", DSN_FAILED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct dsn *d = deliver_filter_status(
			maps, "f", pool, dsn_make(pool, cases[i].action, cases[i].status, "a"));

		assert_string_equal(pool_printf(pool, "%s %s", d->status, d->reason), cases[i].wanted);
		assert_int_equal(d->action, cases[i].becomes);
	}
	maps_close(&maps);
	pool_free(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_outcomes, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_path, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_rights, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_large_messages, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_time_limit, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_nothing_runs_as_root, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_failed_start, fixture_setup, fixture_teardown),
		cmocka_unit_test(test_shell_words),
		cmocka_unit_test(test_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
