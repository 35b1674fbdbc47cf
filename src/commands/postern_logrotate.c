/* Renames maillog_file, has master open a new one, and compresses the old one. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/sys.h"
#include "commands/postern.h"

#define REOPEN_PATIENCE 10 /* seconds */
#define WRITERS_PATIENCE 30
#define REOPEN_POLL_US 50000
#define LAST_LINES_US 500000 /* where the file system cannot say who writes */

static char *rotated_name(const struct config *cfg)
{
	char suffix[200];
	time_t now = (time_t)(clock_real() / US_PER_SEC);
	struct tm tm;

	localtime_r(&now, &tm);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	if (strftime(suffix, sizeof suffix, cfg->maillog_file_rotate_suffix, &tm) == 0)
		return NULL;
#pragma GCC diagnostic pop
	return x_asprintf("%s.%s", cfg->maillog_file, suffix);
}

static bool wait_for_file(const char *path)
{
	int64_t deadline = deadline_in(REOPEN_PATIENCE);

	while (access(path, F_OK) != 0) {
		if (clock_mono() > deadline)
			return false;
		usleep(REOPEN_POLL_US);
	}
	return true;
}

/* Master has told its processes of the new file, but those that are busy take it up later, and what they
 * write until then must not be lost. A lease for reading is to be had when nobody has the file open for
 * writing. */
static void wait_for_writers(const char *path)
{
	int64_t deadline = deadline_in(WRITERS_PATIENCE);
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	signal(SIGIO, SIG_IGN);
	while (fcntl(fd, F_SETLEASE, F_RDLCK) != 0 && clock_mono() < deadline) {
		if (errno != EAGAIN) {
			usleep(LAST_LINES_US);
			break;
		}
		usleep(REOPEN_POLL_US);
	}
	sys_close(&fd);
}

static int compress(const struct config *cfg, const char *path)
{
	pid_t pid;
	int status;

	if (!cfg->maillog_file_compressor[0])
		return 0;
	pid = fork();
	if (pid == 0) {
		execlp(cfg->maillog_file_compressor, cfg->maillog_file_compressor, path, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
		command_say(LOGL_FATAL, "%s %s failed", cfg->maillog_file_compressor, path);
		return 1;
	}
	return 0;
}

static int rotate(struct instance *i, const char *to)
{
	const char *path = i->config->maillog_file;
	pid_t pid = postern_pid(i);

	if (access(to, F_OK) == 0 || rename(path, to) != 0) {
		command_say(LOGL_FATAL, "rename %s to %s: %s", path, to,
			strerror(access(to, F_OK) == 0 ? EEXIST : errno));
		return 1;
	}
	if (pid && (kill(pid, SIGUSR1) != 0 || !wait_for_file(path))) {
		command_say(LOGL_FATAL, "master did not open a new %s", path);
		return 1;
	}
	if (pid) {
		command_log_reopen(i->config);
		wait_for_writers(to);
	}
	return compress(i->config, to);
}

int postern_logrotate(struct instance *i)
{
	const char *path = i->config->maillog_file;
	char *to;
	int status;

	if (!path[0] || str_starts(str_c(path), STR("/dev/"))) {
		command_say(LOGL_FATAL, "maillog_file is not a file: there is nothing to rotate");
		return 1;
	}
	to = rotated_name(i->config);
	status = to ? rotate(i, to) : 1;
	if (!to)
		command_say(LOGL_FATAL, "maillog_file_rotate_suffix: too long, or empty");
	x_free(&to);
	return status;
}
