#include "base/log.h"

#include "base/clock.h"
#include "base/log_render.h"
#include "base/mem.h"
#include "base/sys.h"
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#define LOG_TEXT_MAX 8192
#define RECONNECT_NS NS_PER_SEC

/*
 * The process's log. All but the syslog connection is set by log_open before threads start and only read
 * afterwards; `syslog_fd` and `next_connect` are guarded by `lock`.
 */
static struct {
	bool open;
	enum log_sink sink;
	int fd;
	int facility;
	char *syslog_name, *program, *host;
	bool json;
	int verbose;
	pthread_mutex_t lock;
	int syslog_fd;
	int64_t next_connect;
} log_state = {.syslog_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

static const struct {
	const char *name;
	int code;
} facilities[] = {
	{"auth", LOG_AUTH},
	{"authpriv", LOG_AUTHPRIV},
	{"cron", LOG_CRON},
	{"daemon", LOG_DAEMON},
	{"ftp", LOG_FTP},
	{"kern", LOG_KERN},
	{"lpr", LOG_LPR},
	{"mail", LOG_MAIL},
	{"news", LOG_NEWS},
	{"syslog", LOG_SYSLOG},
	{"user", LOG_USER},
	{"uucp", LOG_UUCP},
	{"local0", LOG_LOCAL0},
	{"local1", LOG_LOCAL1},
	{"local2", LOG_LOCAL2},
	{"local3", LOG_LOCAL3},
	{"local4", LOG_LOCAL4},
	{"local5", LOG_LOCAL5},
	{"local6", LOG_LOCAL6},
	{"local7", LOG_LOCAL7},
};

static int facility_code(const char *name)
{
	for (size_t i = 0; name && i < sizeof(facilities) / sizeof(facilities[0]); i++) {
		if (strcasecmp(facilities[i].name, name) == 0)
			return facilities[i].code;
	}
	return LOG_MAIL;
}

static int syslog_severity(enum log_level level)
{
	static const int severities[] = {
		[LOGL_DEBUG] = LOG_DEBUG,
		[LOGL_INFO] = LOG_INFO,
		[LOGL_WARNING] = LOG_WARNING,
		[LOGL_ERROR] = LOG_ERR,
		[LOGL_FATAL] = LOG_CRIT,
		[LOGL_PANIC] = LOG_CRIT,
	};

	return severities[level];
}

/* With the lock held. In a jail this reaches the socket that the syslog daemon keeps at dev/log there, if
 * any. */
static void syslog_connect(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	int64_t now = clock_mono();
	int fd;

	if (now < log_state.next_connect)
		return;
	log_state.next_connect = now + RECONNECT_NS;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0)
		sys_close(&fd);
	sys_close(&log_state.syslog_fd);
	log_state.syslog_fd = fd;
}

static bool syslog_send_once(struct str line)
{
	ssize_t n;

	do {
		n = send(log_state.syslog_fd, line.p, line.n, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n >= 0;
}

/* A line that no syslog daemon takes goes to standard error, where a supervisor may see it. */
static void syslog_send(struct str line)
{
	bool sent;

	pthread_mutex_lock(&log_state.lock);
	if (log_state.syslog_fd < 0)
		syslog_connect();
	sent = log_state.syslog_fd >= 0 && syslog_send_once(line);
	if (!sent) {
		syslog_connect();
		sent = log_state.syslog_fd >= 0 && syslog_send_once(line);
	}
	pthread_mutex_unlock(&log_state.lock);
	if (!sent) {
		struct iovec parts[] = {{(void *)(uintptr_t)line.p, line.n}, {(void *)(uintptr_t) "\n", 1}};

		if (writev(STDERR_FILENO, parts, 2) < 0)
			return;
	}
}

static char *copy_or(const char *s, const char *otherwise)
{
	return x_strdup(s ? s : otherwise);
}

void log_open(const struct log_options *options)
{
	char host[256] = "localhost";

	gethostname(host, sizeof(host) - 1);
	tzset();
	x_free(&log_state.syslog_name);
	x_free(&log_state.program);
	x_free(&log_state.host);
	log_state.sink = options->sink;
	log_state.fd = options->sink == LOG_SINK_FD ? options->fd : STDERR_FILENO;
	log_state.syslog_name = copy_or(options->syslog_name, "postfix");
	log_state.program = copy_or(options->program, program_invocation_short_name);
	log_state.host = copy_or(options->host, host);
	log_state.facility = facility_code(options->facility);
	log_state.json = options->json;
	log_state.verbose = options->verbose;
	log_state.open = true;
	if (options->sink == LOG_SINK_SYSLOG) {
		pthread_mutex_lock(&log_state.lock);
		log_state.next_connect = 0;
		syslog_connect();
		pthread_mutex_unlock(&log_state.lock);
	}
}

bool log_is_open(void)
{
	return log_state.open;
}

int log_fd(void)
{
	return log_state.open && log_state.sink == LOG_SINK_FD ? log_state.fd : -1;
}

bool log_is_json(void)
{
	return log_state.json;
}

int log_verbose(void)
{
	return log_state.verbose;
}

static void early_line(enum log_level level, const char *text)
{
	struct buf line = BUF(LOG_TEXT_MAX * 2);

	buf_printf(&line, "%s: ", program_invocation_short_name);
	log_render_text(&line, level, text);
	buf_putc(&line, '\n');
	sys_write_all(STDERR_FILENO, line.data, line.len);
	buf_free(&line);
}

static void render(
	struct buf *line, const struct log_origin *origin, enum log_level level, const char *text, bool raw)
{
	if (log_state.sink == LOG_SINK_SYSLOG)
		log_render_syslog(line, origin, log_state.facility | syslog_severity(level));
	else if (!log_state.json)
		log_render_prefix(line, origin);
	if (log_state.json)
		log_render_json(line, origin, level, text, raw);
	else if (raw)
		log_render_text(line, LOGL_INFO, text);
	else
		log_render_text(line, level, text);
}

static void emit(const char *program, enum log_level level, const char *text, bool raw)
{
	struct log_origin origin = {
		.host = log_state.host,
		.name = log_state.syslog_name,
		.program = program ? program : log_state.program,
		.when_us = clock_real(),
	};
	struct buf line = BUF(LOG_TEXT_MAX * 8);

	if (level == LOGL_DEBUG && log_state.verbose <= 0)
		return;
	if (!log_state.open) {
		early_line(level, text);
		return;
	}
	render(&line, &origin, level, text, raw);
	if (log_state.sink == LOG_SINK_SYSLOG) {
		syslog_send(buf_slice(&line));
	} else {
		buf_putc(&line, '\n');
		sys_write_all(log_state.fd, line.data, line.len);
	}
	buf_free(&line);
}

static void __attribute__((format(printf, 2, 0)))
emit_format(enum log_level level, const char *fmt, va_list ap)
{
	int saved = errno;
	char text[LOG_TEXT_MAX];

	vsnprintf(text, sizeof(text), fmt, ap);
	emit(NULL, level, text, false);
	errno = saved;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit_format(level, fmt, ap);
	va_end(ap);
}

void log_warn(void *arg, const char *text)
{
	log_line(LOGL_WARNING, "%s", text);
}

void log_raw(const char *program, enum log_level level, const char *text)
{
	int saved = errno;

	emit(program, level, text, true);
	errno = saved;
}

void log_fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit_format(LOGL_FATAL, fmt, ap);
	va_end(ap);
	exit(1);
}
