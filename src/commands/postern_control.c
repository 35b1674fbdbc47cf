#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/sys.h"
#include "commands/postern.h"
#include "config/master_cf.h"

#define STOP_PATIENCE 20 /* seconds; master itself kills what does not stop before */
#define ABORT_PATIENCE 5
#define POLL_US 20000

static char *pid_path(const struct instance *i)
{
	const char *dir = i->config->process_id_directory;

	return dir[0] == '/' ? x_asprintf("%s/master.pid", dir)
			     : x_asprintf("%s/%s/master.pid", i->config->queue_directory, dir);
}

static pid_t written_pid(int fd)
{
	char text[32];
	ssize_t n = sys_pread_all(fd, text, sizeof text, 0);
	uint64_t pid;

	if (n <= 0 || !str_to_u64(str_trim((struct str){text, (size_t)n}), 0x7fffffff, &pid))
		return 0;
	return (pid_t)pid;
}

/* The lock says whether master runs; the kernel names its holder unless that is in another namespace. */
pid_t postern_pid(const struct instance *i)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char *path = pid_path(i);
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	pid_t pid = 0;

	x_free(&path);
	if (fd < 0)
		return 0;
	if (fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
		pid = lock.l_pid > 0 ? lock.l_pid : written_pid(fd);
	sys_close(&fd);
	return pid;
}

static int not_running(const struct instance *i)
{
	command_say(LOGL_FATAL, "the %s mail system is not running", i->config->mail_name);
	return 1;
}

static bool configuration_valid(const struct instance *i)
{
	struct err err = {""};
	struct master_cf *table = master_cf_load(i->config, &err);

	if (!table)
		command_say(LOGL_FATAL, "%s", err.text);
	master_cf_free(&table);
	return err.text[0] == '\0';
}

static bool ready_to_start(struct instance *i)
{
	struct err err = {""};

	if (postern_pid(i)) {
		command_say(LOGL_FATAL, "the %s mail system is already running", i->config->mail_name);
		return false;
	}
	if (!configuration_valid(i))
		return false;
	if (!postern_make_directories(i, &err)) {
		command_say(LOGL_FATAL, "%s", err.text);
		return false;
	}
	command_say(LOGL_INFO, "starting the %s mail system", i->config->mail_name);
	return true;
}

static void __attribute__((noreturn)) exec_master(const struct instance *i, const char *mode)
{
	char *file = x_asprintf("%s/master", i->config->daemon_directory);
	const char *argv[16] = {"master", "-c", i->directory};
	int n = 3;

	if (mode)
		argv[n++] = mode;
	for (int v = 0; v < i->verbose && n < 15; v++)
		argv[n++] = "-v";
	execv(file, (char *const *)(uintptr_t)argv);
	command_say(LOGL_FATAL, "%s: %s", file, strerror(errno));
	_exit(1);
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -1;
	}
	return status;
}

int postern_start(struct instance *i)
{
	pid_t pid;

	if (!ready_to_start(i))
		return 1;
	pid = fork();
	if (pid == 0)
		exec_master(i, NULL);
	if (pid > 0 && wait_for(pid) == 0)
		return 0;
	command_say(LOGL_FATAL, "mail system startup failed");
	return 1;
}

int postern_start_foreground(struct instance *i)
{
	if (!ready_to_start(i))
		return 1;
	exec_master(i, "-i");
}

static bool wait_until_gone(const struct instance *i, int seconds)
{
	int64_t deadline = deadline_in(seconds);

	while (postern_pid(i)) {
		if (clock_mono() > deadline)
			return false;
		usleep(POLL_US);
	}
	return true;
}

static int send_signal(pid_t pid, int number)
{
	if (kill(pid, number) == 0 || errno == ESRCH)
		return 0;
	command_say(LOGL_FATAL, "signal to process %d: %s", (int)pid, strerror(errno));
	return 1;
}

static int abort_now(const struct instance *i, pid_t pid)
{
	command_say(LOGL_INFO, "aborting the %s mail system", i->config->mail_name);
	if (send_signal(pid, SIGQUIT) != 0)
		return 1;
	if (wait_until_gone(i, ABORT_PATIENCE))
		return 0;
	command_say(LOGL_WARNING, "process %d does not react and is killed", (int)pid);
	return send_signal(pid, SIGKILL);
}

int postern_stop(struct instance *i)
{
	pid_t pid = postern_pid(i);

	if (!pid)
		return not_running(i);
	command_say(LOGL_INFO, "stopping the %s mail system", i->config->mail_name);
	if (send_signal(pid, SIGTERM) != 0)
		return 1;
	return wait_until_gone(i, STOP_PATIENCE) ? 0 : abort_now(i, pid);
}

int postern_abort(struct instance *i)
{
	pid_t pid = postern_pid(i);

	return pid ? abort_now(i, pid) : not_running(i);
}

static void report_error(void *arg, const char *text)
{
	command_say(LOGL_ERROR, "%s", text);
}

int postern_reload(struct instance *i)
{
	pid_t pid = postern_pid(i);

	if (!pid)
		return not_running(i);
	if (!postern_services_valid(i, report_error, NULL)) {
		command_say(LOGL_FATAL, "the configuration is not taken up");
		return 1;
	}
	command_say(LOGL_INFO, "refreshing the %s mail system", i->config->mail_name);
	return send_signal(pid, SIGHUP);
}

int postern_status(struct instance *i)
{
	pid_t pid = postern_pid(i);

	if (pid)
		command_say(
			LOGL_INFO, "the %s mail system is running: PID: %d", i->config->mail_name, (int)pid);
	else
		command_say(LOGL_INFO, "the %s mail system is not running", i->config->mail_name);
	return pid ? 0 : 1;
}

int postern_flush(struct instance *i)
{
	char *file = x_asprintf("%s/postqueue", i->config->command_directory);

	if (!postern_pid(i)) {
		x_free(&file);
		return not_running(i);
	}
	execl(file, "postqueue", "-c", i->directory, "-f", (char *)NULL);
	command_say(LOGL_FATAL, "%s: %s", file, strerror(errno));
	x_free(&file);
	return 1;
}
