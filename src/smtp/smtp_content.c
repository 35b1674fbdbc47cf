#include "smtp/smtp_transaction.h"

#include "smtp/smtp_session.h"

#define SPOOL_LONG_LINE 998 /* what ENVELOPE_LONG_LINES speaks of */

/* Sends lines in pieces of at most `limit` bytes; the break is CRLF and a blank, which belongs to the next
 * piece. */
struct folder {
	struct stream *out;
	size_t limit;
	size_t column; /* bytes of the line so far */
};

static bool fold_piece(struct folder *f, struct str piece)
{
	while (f->column + piece.n > f->limit) {
		size_t room = f->limit - f->column;

		if (!stream_write(f->out, piece.p, room) || !stream_puts(f->out, "\r\n "))
			return false;
		piece = str_from(piece, room);
		f->column = 1;
	}
	f->column += piece.n;
	return stream_write(f->out, piece.p, piece.n);
}

/* As smtp_write_content. A CR may come at the end of one part and its LF at the begin of the next: it waits
 * in *held. */
static bool write_folded(struct folder *f, struct str part, bool *held)
{
	while (part.n > 0) {
		ptrdiff_t lf = str_find(part, '\n');
		struct str line = lf < 0 ? part : str_first(part, (size_t)lf);
		bool ends_cr;

		if (*held && line.n > 0 && !fold_piece(f, STR("\r")))
			return false;
		ends_cr = line.n > 0 ? line.p[line.n - 1] == '\r' : *held;
		if (line.n > 0 && ends_cr)
			line.n--;
		*held = ends_cr && lf < 0;
		if (f->column == 0 && line.n > 0 && line.p[0] == '.' && !stream_write(f->out, ".", 1))
			return false;
		if (line.n > 0 && !fold_piece(f, line))
			return false;
		if (lf < 0)
			break;
		if (!stream_write(f->out, "\r\n", 2))
			return false;
		f->column = 0;
		part = str_from(part, (size_t)lf + 1);
	}
	return true;
}

static enum content_end read_failed(enum spool_status status)
{
	return status == SPOOL_CORRUPT || status == SPOOL_UNFINISHED ? CONTENT_DAMAGED : CONTENT_UNREADABLE;
}

enum content_end smtp_send_content(struct smtp_session *s, struct spool_reader *reader, int envelope_flags,
	bool *first_of_line, struct err *err)
{
	size_t limit = (size_t)s->client->cfg->smtp_line_length_limit;
	struct folder folder = {s->stream, limit, 0};
	bool fold = limit > 0 && (limit < SPOOL_LONG_LINE || envelope_flags & ENVELOPE_LONG_LINES);
	bool held = false, ok = true;
	enum spool_status status;
	struct str piece;

	*first_of_line = true;
	smtp_set_timeout(s, s->client->cfg->smtp_data_xfer_timeout);
	while ((status = spool_read_content(reader, &piece, err)) == SPOOL_OK && piece.n > 0 && ok) {
		if (fold)
			ok = write_folded(&folder, piece, &held);
		else if (envelope_flags & ENVELOPE_DOTS)
			ok = smtp_write_content(s->stream, piece, first_of_line);
		else {
			ok = stream_write(s->stream, piece.p, piece.n);
			*first_of_line = piece.p[piece.n - 1] == '\n';
		}
	}
	if (fold)
		*first_of_line = folder.column == 0;
	if (ok && status != SPOOL_OK)
		return read_failed(status);
	if (!ok) {
		s->failed = true;
		s->timed_out = stream_status(s->stream) == STREAM_TIMEOUT;
		return CONTENT_LOST;
	}
	return CONTENT_SENT;
}
