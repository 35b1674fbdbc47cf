#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/service_private.h"

static void *nothing(void *arg)
{
	return arg;
}

/* In a child: exit status 0 when everything is as it should be, else the number of the step. */
static int steps(void)
{
	struct err err;
	char *argv[] = {NULL};
	pthread_t thread;
	int fd;

	if (!service_sandbox(&err))
		return 1;
	if (execve("/bin/true", argv, argv) == 0 || errno != EPERM)
		return 2;
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 || errno != EPERM)
		return 3;
	fd = open("/dev/null", O_RDWR);
	if (fd < 0 || write(fd, "x", 1) != 1)
		return 4;
	if (socket(AF_INET, SOCK_STREAM, 0) < 0)
		return 5;
	if (pthread_create(&thread, NULL, nothing, NULL) != 0)
		return 6;
	return 0;
}

static void what_services_do_works_and_the_rest_fails(void **state)
{
	int status;
	pid_t pid;

#ifdef POSTERN_SANITIZED
	skip();
#endif
	pid = fork();
	if (pid == 0)
		_exit(steps());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_services_do_works_and_the_rest_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
