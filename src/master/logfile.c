/* maillog_file: opened here, because only root may; the processes get the descriptor. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "master/master.h"

static bool prefix_allowed(const struct config *cfg)
{
	struct str rest = str_c(cfg->maillog_file_prefixes), prefix;

	while (str_word(&rest, ", \t\r\n", &prefix)) {
		if (str_starts(str_c(cfg->maillog_file), prefix))
			return true;
	}
	return false;
}

static bool is_device(const char *path)
{
	return str_starts(str_c(path), STR("/dev/"));
}

/* O_NOFOLLOW and the owner check: a log in a directory of another user must not lead us to another file. */
static int open_regular(const char *path, struct err *err)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0) {
		err_errno(err, "open maillog_file %s", path);
		return -1;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 ||
		(st.st_uid != geteuid() && geteuid() != 0)) {
		err_set(err, "maillog_file %s: not a plain file of our own", path);
		sys_close(&fd);
	}
	return fd;
}

static int open_log(struct master *m, struct err *err)
{
	const char *path = m->settings->config->maillog_file;

	if (!prefix_allowed(m->settings->config)) {
		err_set(err, "maillog_file %s: does not begin with a prefix of maillog_file_prefixes", path);
		return -1;
	}
	if (!is_device(path))
		return open_regular(path, err);
	if (m->mode == MODE_BACKGROUND) {
		err_set(err, "maillog_file %s: needs \"postern start-fg\"", path);
		return -1;
	}
	return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
}

bool logfile_open(struct master *m, struct err *err)
{
	const struct config *cfg = m->settings->config;
	bool to_file = cfg->maillog_file[0] != '\0';
	int fd = to_file ? open_log(m, err) : -1;
	struct log_options options = {
		.sink = to_file ? LOG_SINK_FD : LOG_SINK_SYSLOG,
		.fd = fd,
		.syslog_name = cfg->syslog_name,
		.program = "master",
		.facility = cfg->syslog_facility,
		.json = strcmp(cfg->log_format, "json") == 0,
		.verbose = m->verbose,
	};

	if (to_file && fd < 0)
		return false;
	log_open(&options);
	sys_close(&m->log_fd);
	m->log_fd = fd;
	if (fd >= 0)
		workers_send_log(m);
	return true;
}
