#include "base/clock.h"
#include "base/mem.h"
#include "base/sys.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each test runs in an empty directory of its own. */
static int enter(void **state)
{
	char *dir = x_strdup("/tmp/test_sys.XXXXXX");

	*state = dir;
	return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int leave(void **state)
{
	char *dir = *state, *command = x_asprintf("rm -rf %s", dir);
	int status = chdir("/") || system(command);

	x_free(&command);
	x_free(&dir);
	return status;
}

static void put(const char *path, const char *text)
{
	assert_true(sys_replace_file(path, str_c(text), 0644, NULL));
}

static void test_read_file(void **state)
{
	struct buf b = BUF(5);
	struct err e;

	put("a", "12345");
	assert_true(sys_read_file("a", &b, &e));
	assert_string_equal(buf_cstr(&b), "12345");
	buf_clear(&b);
	put("a", "123456");
	assert_false(sys_read_file("a", &b, &e));
	assert_string_equal(e.text, "a: larger than 5 bytes");
	assert_false(sys_read_file("b", &b, &e));
	assert_string_equal(e.text, "open b: No such file or directory");
	assert_false(sys_read_file(".", &b, &e));
	buf_free(&b);
}

static void test_replace_keeps_mode_and_link(void **state)
{
	struct stat st;
	struct buf b = BUF(100);

	put("real", "one");
	assert_int_equal(chmod("real", 0640), 0);
	assert_int_equal(symlink("real", "link"), 0);
	put("link", "two");
	assert_int_equal(lstat("link", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat("real", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_true(sys_read_file("real", &b, NULL));
	assert_string_equal(buf_cstr(&b), "two");
	assert_false(sys_replace_file("no/such/dir", STR("x"), 0600, NULL));
	assert_int_equal(system("test $(ls | wc -l) = 2"), 0);
	buf_free(&b);
}

static void test_pread_and_pwrite(void **state)
{
	int fd = open("x", O_RDWR | O_CREAT, 0600);
	char got[10];

	assert_true(sys_pwrite_all(fd, "hello", 5, 3));
	assert_int_equal(sys_pread_all(fd, got, sizeof(got), 2), 6);
	assert_memory_equal(got, "\0hello", 6);
	sys_close(&fd);
	assert_int_equal(fd, -1);
	sys_close(&fd);
	assert_false(sys_write_all(-1, "x", 1));
	assert_int_equal(errno, EBADF);
	assert_int_equal(sys_pread_all(-1, got, 1, 0), -1);
}

static void test_mkdirs(void **state)
{
	struct err e;
	struct stat st;

	assert_true(sys_mkdirs("a/b//c/", 0750, &e));
	assert_true(sys_mkdirs("a/b/c", 0750, &e));
	assert_int_equal(stat("a/b/c", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0750);
	put("a/f", "");
	assert_false(sys_mkdirs("a/f", 0750, &e));
	assert_false(sys_mkdirs("a/f/g", 0750, &e));
}

static void test_lock_file(void **state)
{
	struct err e = {0};
	int fd = sys_lock_file("pid", &e);
	char wanted[100];
	pid_t child;
	int status;

	assert_true(fd >= 0);
	snprintf(wanted, sizeof(wanted), "pid: locked by process %d", (int)getpid());
	child = fork();
	if (child == 0) {
		bool right = sys_lock_file("pid", &e) < 0 && errno == EAGAIN && strcmp(e.text, wanted) == 0;

		_exit(right ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(fd);
}

static void test_users(void **state)
{
	struct err e;
	uid_t uid = 77;
	gid_t gid = 77;

	assert_true(sys_user("root", &uid, &gid, &e));
	assert_int_equal(uid, 0);
	assert_int_equal(gid, 0);
	assert_true(sys_user("0", &uid, &gid, &e));
	assert_true(sys_user("4000000000", &uid, NULL, &e));
	assert_true(uid == 4000000000);
	assert_false(sys_user("4000000000", &uid, &gid, &e));
	assert_false(sys_user("nosuchuser", &uid, &gid, &e));
	assert_string_equal(e.text, "unknown user: nosuchuser");
	assert_false(sys_user("4294967295", &uid, NULL, &e));
	assert_true(sys_group("root", &gid, &e));
	assert_true(sys_group("1234", &gid, &e));
	assert_int_equal(gid, 1234);
	assert_false(sys_group("nosuchgroup", &gid, &e));
}

static int become_in_child(void)
{
	struct err e;
	gid_t groups[] = {1234};
	int fd = open("private", O_WRONLY | O_CREAT, 0600);

	close(fd);
	if (!sys_become(4321, 1234, groups, 1, &e))
		return 1;
	if (getuid() != 4321 || getegid() != 1234 || getgroups(0, NULL) != 1)
		return 2;
	if (open("private", O_RDONLY) >= 0)
		return 3;
	return sys_become(4321, 1234, groups, 1, &e) && !sys_become(0, 0, NULL, 0, &e) ? 0 : 4;
}

static void test_become(void **state)
{
	struct err e;
	int status;
	pid_t child;

	if (geteuid() != 0) {
		assert_true(sys_become(geteuid(), getegid(), NULL, 0, &e));
		assert_false(sys_become(geteuid() + 1, getegid(), NULL, 0, &e));
		return;
	}
	child = fork();
	if (child == 0)
		_exit(become_in_child());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void test_crc32c(void **state)
{
	unsigned char zeros[32] = {0};

	/* RFC 3720 appendix B.4 */
	assert_int_equal(crc32c(0, zeros, sizeof(zeros)), 0x8a9136aa);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(crc32c(0, "12345", 5), "6789", 4), 0xe3069283);
	assert_int_equal(crc32c(0, "", 0), 0);
}

static void test_clock(void **state)
{
	char text[64];

	setenv("TZ", "UTC", 1);
	tzset();
	assert_string_equal(clock_rfc5322(1795155990 * US_PER_SEC + 5, text, sizeof(text)),
		"Fri, 20 Nov 2026 06:26:30 +0000 (UTC)");
	setenv("TZ", "NST3:30", 1);
	tzset();
	assert_string_equal(clock_rfc5322(1795155990 * US_PER_SEC, text, sizeof(text)),
		"Fri, 20 Nov 2026 02:56:30 -0330 (NST)");
	unsetenv("TZ");
	assert_int_equal(clock_left_ms(INT64_MAX), -1);
	assert_int_equal(clock_left_ms(0), 0);
	assert_in_range(clock_left_ms(deadline_in(10)), 9900, 10000);
	assert_true(deadline_in(0) == INT64_MAX);
	assert_true(deadline_in(INT64_MAX) == INT64_MAX);
	assert_int_equal(clock_left_ms(INT64_MAX - 1), INT32_MAX);
}

static void test_small_things(void **state)
{
	unsigned char a[32] = {0}, b[32] = {0};

	sys_random(a, sizeof(a));
	sys_random(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	sys_wipe(a, sizeof(a));
	memset(b, 0, sizeof(b));
	assert_memory_equal(a, b, sizeof(a));
}

#ifndef POSTERN_SANITIZED
/* What a system call filter, or an old kernel, makes of it. */
static void forbid_randomness(int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getrandom, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		_exit(77);
}
#endif

/* Without randomness nothing is made: no id, no boundary, no key from what was in memory. */
static void test_no_randomness(void **state)
{
#ifdef POSTERN_SANITIZED
	skip();
#else
	static const int errors[] = {EPERM, ENOSYS, EAGAIN};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		const struct rlimit no_core = {0, 0};
		uint64_t out = 0;
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			signal(SIGABRT, SIG_DFL);
			setrlimit(RLIMIT_CORE, &no_core);
			forbid_randomness(errors[i]);
			sys_random(&out, sizeof(out));
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read_file, enter, leave),
		cmocka_unit_test_setup_teardown(test_replace_keeps_mode_and_link, enter, leave),
		cmocka_unit_test_setup_teardown(test_pread_and_pwrite, enter, leave),
		cmocka_unit_test_setup_teardown(test_mkdirs, enter, leave),
		cmocka_unit_test_setup_teardown(test_lock_file, enter, leave),
		cmocka_unit_test(test_users),
		cmocka_unit_test_setup_teardown(test_become, enter, leave),
		cmocka_unit_test(test_crc32c),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_small_things),
		cmocka_unit_test(test_no_randomness),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
