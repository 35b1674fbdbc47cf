#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "scenario.h"

struct tracing {
	pid_t pid;
	const struct trace_ops *ops;
	void *arg;
	bool relevant; /* the call the child is in is told of */
	struct step step;
	char *data;
};

static bool read_memory(pid_t pid, uint64_t from, void *to, size_t n)
{
	struct iovec here = {to, n}, there = {(void *)(uintptr_t)from, n};

	return process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)n;
}

/* Strings may end before a page that is not there. */
static void read_text(pid_t pid, uint64_t from, char *to, size_t size)
{
	size_t n = 0;

	while (n + 1 < size && read_memory(pid, from + n, to + n, 1) && to[n])
		n++;
	to[n] = '\0';
}

static void fd_path(pid_t pid, int fd, char *out, size_t size)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)pid, fd);
	n = readlink(link, out, size - 1);
	out[n > 0 ? n : 0] = '\0';
}

static void name_path(pid_t pid, uint64_t dirfd, uint64_t name, char *out, size_t size)
{
	char text[256];
	size_t n;

	read_text(pid, name, text, sizeof(text));
	if (text[0] == '/' || (int)dirfd == AT_FDCWD) {
		snprintf(out, size, "%s", text);
		return;
	}
	fd_path(pid, (int)dirfd, out, size);
	n = strlen(out);
	snprintf(out + n, size - n, "/%s", text);
}

static void take_data(struct tracing *t, uint64_t from, size_t n)
{
	t->data = x_realloc(t->data, n + 1);
	if (!read_memory(t->pid, from, t->data, n))
		n = 0;
	t->data[n] = '\0';
	t->step.data = (struct str){t->data, n};
}

static bool of_fd(struct tracing *t, enum step_kind kind, uint64_t fd)
{
	t->step.kind = kind;
	t->step.fd = (int)fd;
	fd_path(t->pid, (int)fd, t->step.path, sizeof(t->step.path));
	return true;
}

static bool of_name(struct tracing *t, enum step_kind kind, uint64_t dirfd, uint64_t name)
{
	t->step.kind = kind;
	name_path(t->pid, dirfd, name, t->step.path, sizeof(t->step.path));
	return true;
}

static bool describe_write(struct tracing *t, const uint64_t *args, bool event)
{
	of_fd(t, event ? STEP_EVENT : STEP_WRITE, args[0]);
	t->step.at = event ? 0 : args[3];
	take_data(t, args[1], args[2]);
	return true;
}

static bool describe_rename(struct tracing *t, const uint64_t *args)
{
	of_name(t, STEP_RENAME, args[0], args[1]);
	name_path(t->pid, args[2], args[3], t->step.to, sizeof(t->step.to));
	return true;
}

/* A creation is one only when the file was not there; that is known afterwards by its being empty and new to
 * the listener. */
static bool describe(struct tracing *t, uint64_t nr, const uint64_t *args)
{
	t->step = (struct step){.pid = t->pid, .fd = -1};
	switch (nr) {
	case SYS_openat:
		return (args[2] & O_CREAT) && of_name(t, STEP_CREATE, args[0], args[1]);
	case SYS_pwrite64:
		return describe_write(t, args, false);
	case SYS_write:
		return args[0] == SCENARIO_EVENTS && describe_write(t, args, true);
	case SYS_ftruncate:
		t->step.at = args[1];
		return of_fd(t, STEP_TRUNCATE, args[0]);
	case SYS_fsync:
		return of_fd(t, STEP_SYNC, args[0]);
	case SYS_fdatasync:
		t->step.data_only = true;
		return of_fd(t, STEP_SYNC, args[0]);
	case SYS_renameat:
	case SYS_renameat2:
		return describe_rename(t, args);
	case SYS_unlinkat:
		return of_name(t, STEP_UNLINK, args[0], args[1]);
	case SYS_mkdirat:
		return of_name(t, STEP_MKDIR, args[0], args[1]);
	default:
		return false;
	}
}

/* false: kill. */
static bool at_stop(struct tracing *t)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->pid, sizeof(info), &info) < 0)
		return true;
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
		uint64_t args[6];

		memcpy(args, info.entry.args, sizeof(args));
		t->relevant = describe(t, info.entry.nr, args);
		return !t->relevant || t->step.kind == STEP_EVENT || t->ops->before(t->arg, &t->step);
	}
	if (info.op != PTRACE_SYSCALL_INFO_EXIT || !t->relevant || info.exit.is_error)
		return true;
	if (t->step.kind == STEP_CREATE)
		t->step.fd = (int)info.exit.rval;
	return t->ops->after(t->arg, &t->step);
}

static int follow(struct tracing *t)
{
	int status;

	for (;;) {
		if (waitpid(t->pid, &status, 0) < 0)
			return -1;
		if (!WIFSTOPPED(status))
			return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
		if (WSTOPSIG(status) == (SIGTRAP | 0x80) && !at_stop(t)) {
			kill(t->pid, SIGKILL);
			waitpid(t->pid, &status, 0);
			return 1;
		}
		ptrace(PTRACE_SYSCALL, t->pid, NULL, NULL);
	}
}

static void __attribute__((noreturn)) be_child(void (*child)(const char *directory), const char *directory)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(null, SCENARIO_EVENTS);
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	child(directory);
	_exit(0);
}

int trace_run(
	void (*child)(const char *directory), const char *directory, const struct trace_ops *ops, void *arg)
{
	struct tracing t = {.ops = ops, .arg = arg};
	int status, result;

	t.pid = fork();
	if (t.pid == 0)
		be_child(child, directory);
	waitpid(t.pid, &status, 0);
	ptrace(PTRACE_SETOPTIONS, t.pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	ptrace(PTRACE_SYSCALL, t.pid, NULL, NULL);
	result = follow(&t);
	x_free(&t.data);
	return result;
}
