/* From the command line to a daemon that may not be started twice. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "master/master.h"

#define STARTER_PATIENCE 60 /* seconds */

/* As an ordinary user the whole system is that user's: mail_owner must name him, groups and the chroot column
 * do not matter. */
static bool check_user(const struct config *cfg, struct err *err)
{
	uid_t uid;
	gid_t gid;

	if (!sys_user(cfg->mail_owner, &uid, &gid, err))
		return err_prefix(err, "mail_owner");
	if (geteuid() == 0)
		return uid != 0 || err_set(err, "mail_owner must not be root");
	return uid == geteuid() ||
	       err_set(err, "mail_owner is %s: only root, or that user, can start this configuration",
		       cfg->mail_owner);
}

bool startup_check(const struct config *cfg, struct err *err)
{
	struct stat st;
	uid_t uid;
	gid_t gid;

	if (!check_user(cfg, err))
		return false;
	if (geteuid() == 0 && !sys_group(cfg->setgid_group, &gid, err))
		return err_prefix(err, "setgid_group");
	if (chdir(cfg->queue_directory) != 0)
		return err_errno(err, "chdir %s", cfg->queue_directory);
	if (stat(cfg->data_directory, &st) != 0)
		return err_errno(err, "data_directory %s", cfg->data_directory);
	if (!sys_user(cfg->mail_owner, &uid, NULL, err))
		return false;
	return st.st_uid == uid ||
	       err_set(err, "data_directory %s is not owned by %s", cfg->data_directory, cfg->mail_owner);
}

static int lock(char *path, struct err *err)
{
	int fd = sys_lock_file(path, err);

	x_free(&path);
	return fd;
}

/* The lock of data_directory keeps out another instance with another queue and the same caches. Who owns that
 * directory may plant names there, so nothing is written into the file. */
bool startup_locks(struct master *m, struct err *err)
{
	const struct config *cfg = m->settings->config;
	char pid[32];

	m->lock_fds[0] = lock(x_asprintf("%s/master.pid", cfg->process_id_directory), err);
	if (m->lock_fds[0] < 0)
		return false;
	m->lock_fds[1] = lock(x_asprintf("%s/master.lock", cfg->data_directory), err);
	if (m->lock_fds[1] < 0)
		return false;
	snprintf(pid, sizeof pid, "%*d\n", 10, (int)getpid());
	if (ftruncate(m->lock_fds[0], 0) != 0 || !sys_pwrite_all(m->lock_fds[0], pid, strlen(pid), 0))
		return err_errno(err, "write master.pid");
	return true;
}

/* The starter: ends well once the daemon says that it listens. */
static void __attribute__((noreturn)) wait_for_daemon(int fd)
{
	char byte;
	ssize_t n;

	alarm(STARTER_PATIENCE);
	do {
		n = read(fd, &byte, 1);
	} while (n < 0 && errno == EINTR);
	_exit(n == 1 ? 0 : 1);
}

static bool close_standard(int first, int last, struct err *err)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return err_errno(err, "/dev/null");
	for (int fd = first; fd <= last; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	return true;
}

/* Standard error stays until startup_done, so that the one who starts the system sees why it does not. */
bool startup_detach(struct master *m, struct err *err)
{
	int ends[2];
	pid_t pid;

	if (m->mode != MODE_BACKGROUND)
		return close_standard(STDIN_FILENO, STDIN_FILENO, err);
	if (pipe2(ends, O_CLOEXEC) != 0 || (pid = fork()) < 0)
		return err_errno(err, "start in the background");
	if (pid > 0) {
		close(ends[1]);
		wait_for_daemon(ends[0]);
	}
	close(ends[0]);
	m->starter_fd = ends[1];
	if (setsid() < 0)
		return err_errno(err, "setsid");
	return close_standard(STDIN_FILENO, STDOUT_FILENO, err);
}

void startup_notify(const char *message)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t n = path ? strlen(path) : 0;
	int fd;

	if (n == 0 || n >= sizeof un.sun_path || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(un.sun_path, path, n);
	if (path[0] == '@')
		un.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&un,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		log_warning("tell the service manager: %s", strerror(errno));
	close(fd);
}

void startup_done(struct master *m)
{
	struct err err = {""};

	startup_notify("READY=1");
	if (m->mode != MODE_BACKGROUND)
		return;
	if (!close_standard(STDERR_FILENO, STDERR_FILENO, &err))
		log_warning("%s", err.text);
	if (write(m->starter_fd, "", 1) != 1)
		log_warning("the process that started us is gone");
	sys_close(&m->starter_fd);
}
