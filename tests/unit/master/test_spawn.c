#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "master/spawn.h"

static void read_all(int fd, struct buf *out)
{
	char piece[4096];
	ssize_t n;

	while ((n = read(fd, piece, sizeof piece)) > 0)
		buf_add(out, piece, (size_t)n);
}

/* The source descriptors are the target numbers in another order; what is not named must be closed. */
static void descriptors_get_their_places(void **state)
{
	const char *argv[] = {"sh", "-c", "ls /proc/self/fd | tr '\\n' ' ' >&4; cat <&3 >&4", NULL},
		   *envp[] = {"PATH=/usr/bin:/bin", NULL};
	int in[2], out[2], extra = open("/dev/null", O_RDONLY);
	struct spawn p = {.file = "/bin/sh",
		.argv = (char **)(uintptr_t)argv,
		.envp = (char **)(uintptr_t)envp,
		.count = 4};
	struct buf text = BUF(65536);
	struct err err = {""};
	int status;

	assert_true(pipe(in) == 0 && pipe(out) == 0 && extra >= 0);
	p.fds = (int[]){in[0], out[1], -1, in[0]};
	assert_true(write(in[1], "content\n", 8) == 8);
	close(in[1]);
	assert_true(spawn_program(&p, &err) > 0);
	close(in[0]);
	close(out[1]);
	read_all(out[0], &text);
	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
	/* ls itself has one more, of the directory it reads. */
	assert_true(str_starts(buf_slice(&text), STR("0 1 2 3 4 5 6 ")) ||
		    str_starts(buf_slice(&text), STR("0 1 2 3 4 6 ")));
	assert_null(strstr(buf_cstr(&text), " 7 "));
	assert_non_null(strstr(buf_cstr(&text), "content"));
	buf_free(&text);
	close(out[0]);
	close(extra);
}

static void a_missing_program_ends_with_127(void **state)
{
	const char *argv[] = {"x", NULL}, *envp[] = {NULL};
	struct spawn p = {.file = "/nonexistent/x",
		.argv = (char **)(uintptr_t)argv,
		.envp = (char **)(uintptr_t)envp,
		.fds = (int[]){-1},
		.count = 1};
	struct err err = {""};
	int status;

	assert_true(spawn_program(&p, &err) > 0);
	assert_true(wait(&status) > 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 127);
}

static const char *lookup(char **envp, const char *name)
{
	size_t n = strlen(name);

	for (; *envp; envp++) {
		if (strncmp(*envp, name, n) == 0 && (*envp)[n] == '=')
			return *envp + n + 1;
	}
	return NULL;
}

static void the_environment_is_what_import_environment_names(void **state)
{
	char **envp;

	setenv("TZ", "UTC", 1);
	setenv("SECRET", "1", 1);
	setenv("MAIL_CONFIG", "/elsewhere", 1);
	unsetenv("DISPLAY");
	envp = spawn_environment("MAIL_CONFIG TZ DISPLAY LANG=C, { A = b c }", "/etc/x");
	assert_string_equal(lookup(envp, "MAIL_CONFIG"), "/etc/x");
	assert_string_equal(lookup(envp, "TZ"), "UTC");
	assert_string_equal(lookup(envp, "LANG"), "C");
	assert_string_equal(lookup(envp, "A"), "b c");
	assert_null(lookup(envp, "SECRET"));
	assert_null(lookup(envp, "DISPLAY"));
	assert_non_null(lookup(envp, "PATH"));
	spawn_free_environment(&envp);
	assert_null(envp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptors_get_their_places),
		cmocka_unit_test(a_missing_program_ends_with_127),
		cmocka_unit_test(the_environment_is_what_import_environment_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
