/* How a log line looks: classic syslog text and JSON. Used by log.c only; apart so that it can be tested
 * without a sink. */
#ifndef BASE_LOG_RENDER_H
#define BASE_LOG_RENDER_H

#include "base/buf.h"
#include "base/log.h"

struct log_origin {
	const char *host;
	const char *name; /* syslog_name */
	const char *program;
	int64_t when_us;
};

/* "Nov 20 06:26:30 host name/program[pid]: " */
void log_render_prefix(struct buf *out, const struct log_origin *o);
/* "<22>Nov 20 06:26:30 name/program[pid]: ", RFC 3164 as local syslog daemons take it. */
void log_render_syslog(struct buf *out, const struct log_origin *o, int priority);
/* The level's word, then the text with control bytes as '?'. Text that does not fit is cut. */
void log_render_text(struct buf *out, enum log_level level, const char *text);
/*
 * {"time":...,"host":...,"program":...,"pid":...,"level":...,"message":...}. With raw, a text that is a JSON
 * object gives its members in place of "message". Bytes that are not UTF-8 become U+FFFD.
 */
void log_render_json(
	struct buf *out, const struct log_origin *o, enum log_level level, const char *text, bool raw);

#endif
