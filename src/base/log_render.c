#include "base/log_render.h"

#include "base/clock.h"
#include "base/utf8.h"
#include <unistd.h>

/* The broken-down second and its classic text, kept per thread: localtime_r takes a lock. */
struct stamp {
	time_t second;
	struct tm tm;
	char text[16];
};

static const struct stamp *stamp_of(int64_t when_us)
{
	static _Thread_local struct stamp stamp;
	static const char months[12][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t second = (time_t)(when_us / US_PER_SEC);

	if (stamp.second == second && stamp.text[0])
		return &stamp;
	stamp.second = second;
	localtime_r(&second, &stamp.tm);
	snprintf(stamp.text, sizeof(stamp.text), "%s %2u %02u:%02u:%02u", months[stamp.tm.tm_mon],
		stamp.tm.tm_mday % 100u, stamp.tm.tm_hour % 100u, stamp.tm.tm_min % 100u,
		stamp.tm.tm_sec % 100u);
	return &stamp;
}

static void tag(struct buf *out, const struct log_origin *o)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "[%d]: ", (int)getpid());
	buf_putc(out, ' ');
	buf_puts(out, o->name);
	buf_putc(out, '/');
	buf_puts(out, o->program);
	buf_puts(out, pid);
}

void log_render_prefix(struct buf *out, const struct log_origin *o)
{
	buf_puts(out, stamp_of(o->when_us)->text);
	buf_putc(out, ' ');
	buf_puts(out, o->host);
	tag(out, o);
}

void log_render_syslog(struct buf *out, const struct log_origin *o, int priority)
{
	buf_printf(out, "<%d>%s", priority, stamp_of(o->when_us)->text);
	tag(out, o);
}

static const struct {
	const char *word, *name;
} levels[] = {
	[LOGL_DEBUG] = {"", "debug"},
	[LOGL_INFO] = {"", "info"},
	[LOGL_WARNING] = {"warning: ", "warning"},
	[LOGL_ERROR] = {"error: ", "error"},
	[LOGL_FATAL] = {"fatal: ", "fatal"},
	[LOGL_PANIC] = {"panic: ", "panic"},
};

static struct str cut_to_fit(const struct buf *out, const char *text)
{
	size_t reserve = 2, room = out->max - out->len;

	return str_first(str_c(text), room > reserve ? room - reserve : 0);
}

void log_render_text(struct buf *out, enum log_level level, const char *text)
{
	size_t start;

	buf_puts(out, levels[level].word);
	start = out->len;
	buf_str(out, cut_to_fit(out, text));
	utf8_hide_controls(out->data + start, out->len - start, '?');
}

/* "2026-11-20T06:26:30.123456+00:00", RFC 3339. */
static void json_time(struct buf *out, int64_t when_us)
{
	const struct tm *tm = &stamp_of(when_us)->tm;
	long minutes = (tm->tm_gmtoff < 0 ? -tm->tm_gmtoff : tm->tm_gmtoff) / 60;

	buf_printf(out, "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%06d%c%02ld:%02ld\"", tm->tm_year + 1900,
		tm->tm_mon + 1, tm->tm_mday, tm->tm_hour, tm->tm_min, tm->tm_sec, (int)(when_us % US_PER_SEC),
		tm->tm_gmtoff < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

void log_render_json(
	struct buf *out, const struct log_origin *o, enum log_level level, const char *text, bool raw)
{
	char program[128];

	snprintf(program, sizeof(program), "%s/%s", o->name, o->program);
	json_time(out, o->when_us);
	buf_puts(out, ",\"host\":");
	utf8_put_json(out, str_c(o->host));
	buf_puts(out, ",\"program\":");
	utf8_put_json(out, str_c(program));
	buf_printf(out, ",\"pid\":%d,\"level\":\"%s\"", (int)getpid(), levels[level].name);
	if (raw && text[0] == '{') {
		if (text[1] != '}')
			buf_putc(out, ',');
		buf_puts(out, text + 1);
		return;
	}
	buf_puts(out, ",\"message\":");
	utf8_put_json(out, str_c(text));
	buf_putc(out, '}');
}
