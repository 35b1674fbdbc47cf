#include "base/clock.h"
#include "base/sys.h"
#include "local/local.h"
#include "mail/address.h"
#include "spool/spool_lines.h"
#include <errno.h>

#define WRITE_AT_ONCE 65536
#define HEADER_MAX (8 * ADDRESS_MAX)

/* A header value must stay one line, whatever the envelope holds. */
static void add_address(struct buf *out, const char *address)
{
	size_t start = out->len;

	address_quote(str_c(address), out);
	for (size_t i = start; i < out->len; i++)
		if (ascii_is_control(out->data[i]))
			out->data[i] = '?';
}

void local_headers(const struct local_job *job, struct buf *out)
{
	buf_puts(out, "Return-Path: <");
	add_address(out, job->sender);
	buf_puts(out, ">\nX-Original-To: ");
	add_address(out, job->original ? job->original : job->recipient);
	if (job->settings->delivered_header) {
		buf_puts(out, "\nDelivered-To: ");
		add_address(out, job->recipient);
	}
	buf_putc(out, '\n');
}

/* The date as asctime(3) writes it, in local time and C's locale. */
void local_from_line(const struct local_job *job, int64_t now_us, struct buf *out)
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t when = (time_t)(now_us / US_PER_SEC);
	struct tm tm = {0};

	localtime_r(&when, &tm);
	buf_puts(out, "From ");
	add_address(out, job->sender[0] ? job->sender : "MAILER-DAEMON");
	buf_printf(out, "  %s %s %2d %02d:%02d:%02d %d\n", days[tm.tm_wday], months[tm.tm_mon], tm.tm_mday,
		tm.tm_hour, tm.tm_min, tm.tm_sec, tm.tm_year + 1900);
}

struct output {
	int fd;
	struct buf held;
	int64_t room; /* bytes that may still be written; -1: any */
};

static bool output_flush(struct output *o)
{
	bool ok;

	if (o->room >= 0 && (uint64_t)o->room < o->held.len) {
		errno = EFBIG;
		return false;
	}
	if (o->room >= 0)
		o->room -= (int64_t)o->held.len;
	ok = sys_write_all(o->fd, o->held.data, o->held.len);
	buf_clear(&o->held);
	return ok;
}

static bool output_add(struct output *o, struct str s)
{
	while (s.n > 0) {
		struct str part = str_first(s, WRITE_AT_ONCE - o->held.len);

		buf_str(&o->held, part);
		s = str_from(s, part.n);
		if (o->held.len == WRITE_AT_ONCE && !output_flush(o))
			return false;
	}
	return true;
}

static bool output_piece(struct output *o, struct str piece, bool line_start, bool line_end, bool mailbox)
{
	if (mailbox && line_start && str_starts(piece, STR("From ")) && !output_add(o, STR(">")))
		return false;
	return output_add(o, piece) && (!line_end || output_add(o, STR("\n")));
}

static enum local_step copy_content(struct local_job *job, struct output *o, bool mailbox, struct err *err)
{
	enum local_step step = LOCAL_COPIED;
	enum lines_result kind = LINES_LINE;
	bool line_start = true;
	enum spool_status status;
	struct spool_lines l;
	struct str piece;

	spool_lines_begin(&l, job->reader);
	while ((status = spool_lines_next(&l, &piece, &kind, err)) == SPOOL_OK && kind != LINES_END) {
		if (!output_piece(o, piece, line_start, kind != LINES_PART, mailbox)) {
			step = LOCAL_WRITE_FAILED;
			break;
		}
		line_start = kind != LINES_PART;
	}
	if (status != SPOOL_OK)
		step = LOCAL_READ_FAILED;
	job->corrupt = status == SPOOL_CORRUPT;
	spool_lines_free(&l);
	return step;
}

enum local_step local_copy(
	struct local_job *job, struct str head, int fd, bool mailbox, int64_t room, struct err *err)
{
	struct output o = {.fd = fd, .held = BUF(WRITE_AT_ONCE), .room = room};
	enum local_step step = LOCAL_WRITE_FAILED;
	int error;

	if (output_add(&o, head))
		step = copy_content(job, &o, mailbox, err);
	if (step == LOCAL_COPIED && ((mailbox && !output_add(&o, STR("\n"))) || !output_flush(&o)))
		step = LOCAL_WRITE_FAILED;
	error = errno;
	buf_free(&o.held);
	errno = error;
	return step;
}
