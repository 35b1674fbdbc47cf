#include "mail/smtp_text.h"

#include "mail/dsn.h"
#include <ctype.h>

#define REPLY_TEXT_MAX 20000	  /* bytes kept of one reply */
#define REPLY_LINES_MAX 10000	  /* lines of one reply before it is taken for an attack */
#define REPLY_DROP_MAX (1u << 20) /* bytes of one over-long line, likewise */

void smtp_split_command(struct str line, struct str *verb, struct str *rest)
{
	size_t n = 0;

	while (n < line.n && line.p[n] != ' ' && line.p[n] != '\t')
		n++;
	*verb = str_first(line, n);
	while (n < line.n && (line.p[n] == ' ' || line.p[n] == '\t'))
		n++;
	*rest = str_from(line, n);
}

static bool keyword_valid(struct str k)
{
	if (k.n == 0 || !isalnum((unsigned char)k.p[0]))
		return false;
	for (size_t i = 0; i < k.n; i++)
		if (!isalnum((unsigned char)k.p[i]) && k.p[i] != '-')
			return false;
	return true;
}

int smtp_next_parameter(struct str *rest, struct str *keyword, struct str *value)
{
	struct str word;
	ptrdiff_t equals;

	if (!str_word(rest, " \t", &word))
		return 0;
	equals = str_find(word, '=');
	*keyword = equals < 0 ? word : str_first(word, (size_t)equals);
	*value = equals < 0 ? (struct str){NULL, 0} : str_from(word, (size_t)equals + 1);
	return keyword_valid(*keyword) ? 1 : -1;
}

/* One line of a reply: 1 it is the last, 0 more follow, -1 not a reply line. */
static int reply_line(struct str line, struct smtp_reply *reply, struct buf *text)
{
	size_t status;
	struct str after;

	while (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	reply->lines++;
	if (text->len > 0)
		buf_putc(text, '\n');
	for (size_t i = 0; i < line.n; i++)
		buf_putc(text, isprint((unsigned char)line.p[i]) ? line.p[i] : '?');
	if (line.n < 3 || !isdigit((unsigned char)line.p[0]) || !isdigit((unsigned char)line.p[1]) ||
		!isdigit((unsigned char)line.p[2]) || (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-'))
		return -1;
	reply->code = (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0');
	after = str_from(line, 4);
	while (after.n > 0 && after.p[0] == ' ')
		after = str_from(after, 1);
	status = dsn_status_length(after);
	if (status > 0 && status < sizeof(reply->status) && after.p[0] == line.p[0] &&
		(status == after.n || after.p[status] == ' ')) {
		memcpy(reply->status, after.p, status);
		reply->status[status] = '\0';
	} else {
		reply->status[0] = '\0';
	}
	return line.n > 3 && line.p[3] == '-' ? 0 : 1;
}

static void reply_begin(struct smtp_reply *reply)
{
	*reply = (struct smtp_reply){0};
}

static void reply_finish(struct smtp_reply *reply, struct buf *text, int last)
{
	if (last < 0)
		reply->code = NO_REPLY;
	reply->text = buf_take(text);
}

/* Reads a line whole; of one longer than line_max the first piece is kept (in `keep`) and the rest read and
 * forgotten, within bounds. */
static enum stream_status reply_read_line(struct stream *s, size_t line_max,
	const struct smtp_reply_reader *reader, struct str *line, struct buf *keep)
{
	enum line_end end;
	enum stream_status status = stream_line(s, line_max, line, &end);
	struct str piece;
	size_t dropped = 0;

	if (status != STREAM_OK || end != LINE_PARTIAL)
		return status;
	buf_clear(keep);
	buf_str(keep, *line);
	while (status == STREAM_OK && end == LINE_PARTIAL) {
		if (dropped > REPLY_DROP_MAX)
			return STREAM_ERROR;
		status = stream_line(s, line_max, &piece, &end);
		dropped += piece.n;
	}
	*line = buf_slice(keep);
	if (status == STREAM_OK && reader && reader->cut)
		reader->cut(reader->arg, *line);
	return status;
}

static bool reply_filter_line(const struct smtp_reply_reader *reader, struct str *line, struct buf *out)
{
	buf_clear(out);
	if (reader && reader->filter && !reader->filter(reader->arg, *line, out))
		return false;
	if (out->len)
		*line = buf_slice(out);
	return true;
}

/* As reply_line; a stray line is no end for a reader that wants to see it. */
static int reply_take_line(
	const struct smtp_reply_reader *reader, struct str line, struct smtp_reply *reply, struct buf *text)
{
	int last = reply_line(line, reply, text);

	if (last >= 0 || !reader || !reader->stray)
		return last;
	reader->stray(reader->arg, line);
	return 0;
}

enum stream_status smtp_reply_read(
	struct stream *s, size_t line_max, const struct smtp_reply_reader *reader, struct smtp_reply *reply)
{
	struct buf text = BUF(REPLY_TEXT_MAX), keep = BUF(line_max), instead = BUF(REPLY_TEXT_MAX);
	enum stream_status status;
	struct str line;
	int last = 0;

	reply_begin(reply);
	do {
		status = reply_read_line(s, line_max, reader, &line, &keep);
		if (status == STREAM_OK && !reply_filter_line(reader, &line, &instead))
			status = STREAM_ERROR;
		if (status == STREAM_OK)
			last = reply_take_line(reader, line, reply, &text);
	} while (status == STREAM_OK && last == 0 && reply->lines < REPLY_LINES_MAX);
	reply_finish(reply, &text, last == 0 ? -1 : last);
	buf_free(&keep);
	buf_free(&instead);
	return status;
}

void smtp_reply_free(struct smtp_reply *reply)
{
	x_free(&reply->text);
	reply_begin(reply);
}

size_t smtp_reply_parse(struct str in, struct smtp_reply *reply)
{
	struct buf text = BUF(REPLY_TEXT_MAX);
	size_t used = 0;
	int last = 0;

	reply_begin(reply);
	while (last == 0 && reply->lines < REPLY_LINES_MAX) {
		struct str rest = str_from(in, used);
		ptrdiff_t lf = str_find(rest, '\n');

		if (lf < 0) {
			buf_free(&text);
			reply_begin(reply);
			return 0;
		}
		struct str line = str_first(rest, (size_t)lf);
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		last = reply_line(line, reply, &text);
		used += (size_t)lf + 1;
	}
	reply_finish(reply, &text, last == 0 ? -1 : last);
	return used;
}

bool smtp_write_content(struct stream *s, struct str part, bool *first_of_line)
{
	while (part.n > 0) {
		ptrdiff_t lf = str_find(part, '\n');
		size_t n = lf < 0 ? part.n : (size_t)lf + 1;

		if (*first_of_line && part.p[0] == '.' && !stream_write(s, ".", 1))
			return false;
		if (!stream_write(s, part.p, n))
			return false;
		*first_of_line = lf >= 0;
		part = str_from(part, n);
	}
	return true;
}

bool smtp_end_content(struct stream *s, bool first_of_line)
{
	return stream_puts(s, first_of_line ? ".\r\n" : "\r\n.\r\n");
}
