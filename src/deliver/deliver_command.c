#include "deliver/deliver_command.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/sys.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOT_STARTED_STATUS 75 /* EX_TEMPFAIL */

struct run {
	struct deliver_sink sink;
	pid_t pid;
	int in, out, watch; /* ends of pipes that are ours; the process's descriptor */
	int64_t deadline;
	struct buf *output;
	bool deaf; /* reads no more */
	bool exited, late;
	int status; /* of waitpid(2) */
};

/* ---- the child: only calls that are safe after fork() in a process with threads */

struct child {
	const struct deliver_command *command;
	int in, out, trouble; /* trouble: tells the parent what failed before the command could start */
};

static void tell_all(int fd, const char *const *parts)
{
	for (; *parts; parts++) {
		if (write(fd, *parts, strlen(*parts)) < 0)
			return;
	}
}

static const char *reason(int error)
{
	const char *text = strerrordesc_np(error);

	return text ? text : "unknown error";
}

static void give_up(const struct child *c, const char *what, const char *name)
{
	tell_all(c->trouble, (const char *const[]){what, name, ": ", reason(errno), NULL});
	_exit(NOT_STARTED_STATUS);
}

static void forget_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
}

static void limit_files(const struct child *c)
{
	rlim_t most = (rlim_t)c->command->file_limit;
	struct rlimit limit = {most, most};

	if (c->command->file_limit > 0 && setrlimit(RLIMIT_FSIZE, &limit) < 0)
		give_up(c, "cannot limit the size of files", "");
}

/* For good: nothing of root stays that the command could take back. */
static void become(const struct child *c)
{
	const gid_t gid = c->command->gid;
	const uid_t uid = c->command->uid;

	if (geteuid() != 0)
		return;
	if (syscall(SYS_setgroups, (size_t)1, &gid) < 0 || syscall(SYS_setresgid, gid, gid, gid) < 0 ||
		syscall(SYS_setresuid, uid, uid, uid) < 0)
		give_up(c, "cannot become the user", "");
	if (getuid() != uid || geteuid() != uid || getegid() != gid || syscall(SYS_setuid, 0) == 0)
		give_up(c, "root's rights were not given up", "");
}

static void enter_directories(const struct child *c)
{
	const struct deliver_command *cmd = c->command;

	if (cmd->root && (chdir(cmd->root) < 0 || chroot(".") < 0))
		give_up(c, "cannot change root directory to ", cmd->root);
	become(c);
	if (cmd->directory && chdir(cmd->directory) < 0)
		give_up(c, "cannot change directory to ", cmd->directory);
}

/* Looked for in PATH of the environment that it gets. Returns only when nothing could be executed. */
static void execute(const struct deliver_command *cmd)
{
	environ = (char **)(uintptr_t)cmd->env;
	execvp(cmd->argv[0], (char *const *)(uintptr_t)cmd->argv);
}

static void run_child(const struct child *c)
{
	const struct deliver_command *cmd = c->command;
	int error;

	setsid();
	forget_signals();
	if (dup2(c->in, STDIN_FILENO) < 0 || dup2(c->out, STDOUT_FILENO) < 0 ||
		dup2(c->out, STDERR_FILENO) < 0)
		give_up(c, "cannot connect the command", "");
	if (close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC) < 0)
		give_up(c, "cannot close descriptors", "");
	enter_directories(c);
	limit_files(c);
	execute(cmd);
	error = errno;
	tell_all(STDERR_FILENO, (const char *const[]){cmd->program, ": execvp ", cmd->argv[0], ": ",
					reason(error), "\n", NULL});
	errno = error;
	give_up(c, "cannot run ", cmd->argv[0]);
}

/* ---- the parent */

static void read_output(struct run *r)
{
	char piece[4096];
	ssize_t n;

	while (r->out >= 0 && (n = read(r->out, piece, sizeof(piece))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			break;
		buf_str(r->output,
			str_first((struct str){piece, (size_t)n}, r->output->max - r->output->len));
	}
	sys_close(&r->out);
}

static void reap(struct run *r, int options)
{
	pid_t pid;

	do
		pid = waitpid(r->pid, &r->status, options);
	while (pid < 0 && errno == EINTR);
	if (pid == r->pid)
		r->exited = r->deaf = true;
}

/* Waits until something moves. false: the time is up. */
static bool step(struct run *r, bool writing)
{
	struct pollfd fds[3] = {
		{r->watch, POLLIN, 0}, {r->out, POLLIN, 0}, {writing ? r->in : -1, POLLOUT, 0}};

	if (poll(fds, 3, clock_left_ms(r->deadline)) == 0 && clock_mono() >= r->deadline) {
		r->late = true;
		return false;
	}
	if (fds[1].revents)
		read_output(r);
	if (fds[0].revents)
		reap(r, WNOHANG);
	return true;
}

static bool command_write(struct deliver_sink *sink, struct str data)
{
	struct run *r = container_of(sink, struct run, sink);

	while (data.n > 0 && !r->deaf) {
		ssize_t n = write(r->in, data.p, data.n);

		if (n > 0)
			data = str_from(data, (size_t)n);
		else if (n < 0 && errno == EPIPE)
			r->deaf = true;
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		else if (!step(r, true))
			return false;
	}
	return true;
}

/* The command leads a process group of its own: its children end with it. */
static void kill_all(struct run *r)
{
	kill(-r->pid, SIGKILL);
	kill(r->pid, SIGKILL);
	reap(r, 0);
}

static void feed(struct run *r, struct deliver_job *job, struct str head, const struct deliver_form *form,
	struct deliver_command_result *result)
{
	enum deliver_step copied = deliver_copy(job, head, form, &r->sink, &result->err);

	sys_close(&r->in);
	while (copied == DELIVER_COPIED && !r->exited && step(r, false))
		continue;
	if (!r->exited)
		kill_all(r);
	read_output(r);
	if (copied == DELIVER_READ_FAILED)
		result->end = COMMAND_READ_FAILED;
	else if (r->late)
		result->end = COMMAND_TIMEOUT;
	else
		result->end = WIFSIGNALED(r->status) ? COMMAND_KILLED : COMMAND_EXITED;
	result->code = WIFSIGNALED(r->status) ? WTERMSIG(r->status) : WEXITSTATUS(r->status);
}

struct pipes {
	int in[2], out[2], trouble[2];
};

static bool make_pipes(struct pipes *p)
{
	return pipe2(p->in, O_CLOEXEC) == 0 && pipe2(p->out, O_CLOEXEC) == 0 &&
	       pipe2(p->trouble, O_CLOEXEC) == 0 && fcntl(p->in[1], F_SETFL, O_NONBLOCK) == 0 &&
	       fcntl(p->out[0], F_SETFL, O_NONBLOCK) == 0;
}

static void close_pipes(struct pipes *p)
{
	for (int i = 0; i < 2; i++) {
		sys_close(&p->in[i]);
		sys_close(&p->out[i]);
		sys_close(&p->trouble[i]);
	}
}

static bool start(struct run *r, struct pipes *p, const struct deliver_command *command)
{
	struct child child = {command, p->in[0], p->out[1], p->trouble[1]};

	r->pid = fork();
	if (r->pid == 0)
		run_child(&child);
	if (r->pid < 0)
		return false;
	r->watch = (int)syscall(SYS_pidfd_open, r->pid, 0);
	if (r->watch < 0)
		kill_all(r);
	return r->watch >= 0;
}

/* What the child told before the command began; nothing: it began. */
static bool read_trouble(int fd, struct err *err)
{
	size_t have = 0;
	ssize_t n;

	while ((n = read(fd, err->text + have, sizeof(err->text) - 1 - have)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		have += (size_t)n;
	}
	err->text[have] = '\0';
	return have > 0;
}

static void run_started(struct run *r, struct pipes *p, struct deliver_job *job, struct str head,
	const struct deliver_form *form, struct deliver_command_result *result)
{
	sys_close(&p->in[0]);
	sys_close(&p->out[1]);
	sys_close(&p->trouble[1]);
	r->in = p->in[1];
	r->out = p->out[0];
	p->in[1] = p->out[0] = -1;
	if (read_trouble(p->trouble[0], &result->err)) {
		reap(r, 0);
		read_output(r);
		result->end = COMMAND_NOT_STARTED;
	} else {
		feed(r, job, head, form, result);
	}
	sys_close(&r->in);
	sys_close(&r->out);
	sys_close(&r->watch);
}

void deliver_command_run(struct deliver_job *job, struct str head, const struct deliver_form *form,
	const struct deliver_command *command, struct deliver_command_result *result)
{
	struct pipes p = {{-1, -1}, {-1, -1}, {-1, -1}};
	struct run r = {.sink = {command_write}, .in = -1, .out = -1, .watch = -1, .output = &result->output};

	*result = (struct deliver_command_result){.output = BUF(DELIVER_OUTPUT_MAX)};
	result->end = COMMAND_NOT_STARTED;
	r.deadline = deadline_in(command->time_limit);
	if (command->uid == 0)
		err_set(&result->err, "no command is run as root");
	else if (geteuid() != 0 && command->uid != geteuid())
		err_set(&result->err, "cannot become user id %u", command->uid);
	else if (!make_pipes(&p) || !start(&r, &p, command))
		err_errno(&result->err, "cannot start a process");
	else
		run_started(&r, &p, job, head, form, result);
	close_pipes(&p);
}
