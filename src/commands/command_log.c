#include "commands/command_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"
#include "base/utf8.h"

/* Only what master made: commands create no log file, and follow no link to one. */
static int open_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)))
		sys_close(&fd);
	return fd;
}

bool command_log_open(const struct config *cfg, const char *program, int verbose)
{
	struct log_options options = {
		.sink = LOG_SINK_SYSLOG,
		.fd = -1,
		.syslog_name = cfg->syslog_name,
		.program = program,
		.facility = cfg->syslog_facility,
		.json = strcmp(cfg->log_format, "json") == 0,
		.verbose = verbose,
	};

	if (cfg->maillog_file[0]) {
		options.fd = open_file(cfg->maillog_file);
		options.sink = options.fd >= 0 ? LOG_SINK_FD : LOG_SINK_STDERR;
	} else if (access("/dev/log", W_OK) != 0)
		options.sink = LOG_SINK_STDERR;
	if (options.sink != LOG_SINK_STDERR)
		log_open(&options);
	return options.sink != LOG_SINK_STDERR;
}

void command_log_reopen(const struct config *cfg)
{
	int fd = log_fd() >= 0 ? open_file(cfg->maillog_file) : -1;

	if (fd >= 0)
		dup3(fd, log_fd(), O_CLOEXEC);
	sys_close(&fd);
}

static const char *level_word(enum log_level level)
{
	static const char *const words[] = {"", "", "warning: ", "error: ", "fatal: ", "panic: "};

	return words[level];
}

static void __attribute__((format(printf, 2, 0))) say(enum log_level level, const char *fmt, va_list ap)
{
	char text[2048];

	vsnprintf(text, sizeof text, fmt, ap);
	utf8_hide_controls(text, strlen(text), '?');
	fflush(stdout); /* what was printed before comes first */
	fprintf(stderr, "%s: %s%s\n", program_invocation_short_name, level_word(level), text);
	if (log_is_open())
		log_line(level, "%s", text);
}

void command_say(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(level, fmt, ap);
	va_end(ap);
}

void command_die(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(LOGL_FATAL, fmt, ap);
	va_end(ap);
	exit(status);
}
