#include "base/clock.h"
#include "base/list.h"
#include "base/sys.h"
#include "deliver/deliver.h"
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

void deliver_address_header(const char *name, const char *address, const char *eol, struct buf *out)
{
	bool path = strcmp(name, "Return-Path") == 0;

	buf_printf(out, "%s: %s", name, path ? "<" : "");
	add_address(out, address);
	buf_printf(out, "%s%s", path ? ">" : "", eol);
}

void deliver_headers(const struct deliver_job *job, struct buf *out)
{
	deliver_address_header("Return-Path", job->sender, "\n", out);
	if (job->original)
		deliver_address_header("X-Original-To", job->original, "\n", out);
	if (job->delivered)
		deliver_address_header("Delivered-To", job->delivered, "\n", out);
}

/* The date as asctime(3) writes it, in local time and C's locale. */
void deliver_from_line(const char *sender, int64_t now_us, struct buf *out)
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t when = (time_t)(now_us / US_PER_SEC);
	struct tm tm = {0};

	localtime_r(&when, &tm);
	buf_puts(out, "From ");
	add_address(out, sender[0] ? sender : "MAILER-DAEMON");
	buf_printf(out, "  %s %s %2d %02d:%02d:%02d %d\n", days[tm.tm_wday], months[tm.tm_mon], tm.tm_mday,
		tm.tm_hour, tm.tm_min, tm.tm_sec, tm.tm_year + 1900);
}

struct output {
	struct deliver_sink *sink;
	const struct deliver_form *form;
	struct buf held;
};

static bool output_flush(struct output *o)
{
	bool ok = o->held.len == 0 || o->sink->write(o->sink, buf_slice(&o->held));

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

static const char *line_prefix(const struct output *o, struct str piece)
{
	if (o->form->quote_from && str_starts(piece, STR("From ")))
		return ">";
	return o->form->quote_dot && str_starts(piece, STR(".")) ? "." : "";
}

static bool output_piece(struct output *o, struct str piece, bool line_start, bool line_end)
{
	if (line_start && !output_add(o, str_c(line_prefix(o, piece))))
		return false;
	return output_add(o, piece) && (!line_end || output_add(o, str_c(o->form->eol)));
}

static enum deliver_step copy_content(struct deliver_job *job, struct output *o, struct err *err)
{
	enum deliver_step step = DELIVER_COPIED;
	enum lines_result kind = LINES_LINE;
	bool line_start = true;
	enum spool_status status;
	struct spool_lines l;
	struct str piece;

	spool_lines_begin(&l, job->reader);
	while ((status = spool_lines_next(&l, &piece, &kind, err)) == SPOOL_OK && kind != LINES_END) {
		if (!output_piece(o, piece, line_start, kind != LINES_PART)) {
			step = DELIVER_WRITE_FAILED;
			break;
		}
		line_start = kind != LINES_PART;
	}
	if (status != SPOOL_OK)
		step = DELIVER_READ_FAILED;
	job->corrupt = status == SPOOL_CORRUPT;
	spool_lines_free(&l);
	return step;
}

enum deliver_step deliver_copy(struct deliver_job *job, struct str head, const struct deliver_form *form,
	struct deliver_sink *sink, struct err *err)
{
	struct output o = {.sink = sink, .form = form, .held = BUF(WRITE_AT_ONCE)};
	enum deliver_step step = DELIVER_WRITE_FAILED;
	int error;

	if (output_add(&o, head))
		step = copy_content(job, &o, err);
	if (step == DELIVER_COPIED && form->blank_line && !output_add(&o, str_c(form->eol)))
		step = DELIVER_WRITE_FAILED;
	if (step == DELIVER_COPIED && !output_flush(&o))
		step = DELIVER_WRITE_FAILED;
	error = errno;
	buf_free(&o.held);
	errno = error;
	return step;
}

/* ---- to a file */

struct file_sink {
	struct deliver_sink sink;
	int fd;
	int64_t room; /* bytes that may still be written; -1: any */
};

static bool file_write(struct deliver_sink *sink, struct str data)
{
	struct file_sink *f = container_of(sink, struct file_sink, sink);

	if (f->room >= 0 && (uint64_t)f->room < data.n) {
		errno = EFBIG;
		return false;
	}
	if (f->room >= 0)
		f->room -= (int64_t)data.n;
	return sys_write_all(f->fd, data.p, data.n);
}

enum deliver_step deliver_copy_to_file(
	struct deliver_job *job, struct str head, int fd, bool mailbox, int64_t room, struct err *err)
{
	const struct deliver_form form = {.eol = "\n", .quote_from = mailbox, .blank_line = mailbox};
	struct file_sink file = {.sink = {file_write}, .fd = fd, .room = room};

	return deliver_copy(job, head, &form, &file.sink, err);
}
