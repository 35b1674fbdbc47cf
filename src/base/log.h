/*
 * The log of a program: one sink per process (syslog, a file or standard output), opened before privileges
 * and root directory are given up. Libraries do not log: they return errors. Lines are one write each, so
 * that processes can share a file.
 *
 * Text sinks: "Nov 20 06:26:30 host syslog_name/program[pid]: text", classic syslog form, local time. Control
 * bytes in the text become '?'. Process-wide state, set once by log_open before threads start.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>

enum log_level { LOGL_DEBUG, LOGL_INFO, LOGL_WARNING, LOGL_ERROR, LOGL_FATAL, LOGL_PANIC };

enum log_sink { LOG_SINK_STDERR, LOG_SINK_SYSLOG, LOG_SINK_FD };

struct log_options {
	enum log_sink sink;
	int fd;			 /* LOG_SINK_FD: opened for appending by the caller (master hands it down) */
	const char *syslog_name; /* "postfix" */
	const char *program;	 /* "smtpd" */
	const char *facility;	 /* "mail" */
	const char *host;	 /* for text sinks */
	bool json;		 /* one JSON object a line on text sinks and in syslog's message */
	int verbose;		 /* > 0: LOGL_DEBUG lines are written */
};

void log_open(const struct log_options
		*options); /* strings are copied; until then lines go to stderr as "program: text" */
bool log_is_open(void);	   /* false: lines still go to stderr */
int log_fd(void);	   /* of the file it goes to, or -1 */
bool log_is_json(void);
int log_verbose(void);
/* "warning: ", "error: ", "fatal: ", "panic: " are put before the text by level. */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The line as it is, already rendered (used by mail/event), under the name of another program of the family,
 * e.g. the cleanup library inside smtpd; program NULL: own. */
void log_raw(const char *program, enum log_level level, const char *text);

/* A warning that a library tells of through a callback; arg is not used. */
void log_warn(void *arg, const char *text);

#define log_debug(...)                                                                                       \
	do {                                                                                                 \
		if (log_verbose() > 0)                                                                       \
			log_line(LOGL_DEBUG, __VA_ARGS__);                                                   \
	} while (0)
#define log_info(...) log_line(LOGL_INFO, __VA_ARGS__)
#define log_warning(...) log_line(LOGL_WARNING, __VA_ARGS__)
#define log_error(...) log_line(LOGL_ERROR, __VA_ARGS__)
/* Logs and ends the process with status 1. Only in programs, at start-up. */
void log_fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
