#include "bounce/bounce_private.h"

#define LINE_PIECE 65536 /* a longer line is passed on in pieces */

struct copy {
	struct report *r;
	struct buf line;
	bool in_header, done;
};

/* One line, or a piece of a very long one. */
static void take_line(struct copy *c, bool partial)
{
	struct str line = buf_slice(&c->line);

	if (!partial && line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	if (c->r->headers_only && c->in_header && line.n == 0 && !partial)
		c->done = true;
	else if (!cleanup_line(c->r->out, line, partial))
		c->done = true;
	c->in_header = c->in_header && (line.n > 0 || partial);
	buf_clear(&c->line);
}

static void take_piece(struct copy *c, struct str piece)
{
	while (piece.n > 0 && !c->done) {
		ptrdiff_t end = str_find(piece, '\n');
		size_t room = LINE_PIECE - c->line.len;
		size_t n = end < 0 ? piece.n : (size_t)end;

		n = n < room ? n : room;
		buf_str(&c->line, str_first(piece, n));
		piece = str_from(piece, n);
		if (piece.n > 0 && piece.p[0] == '\n') {
			take_line(c, false);
			piece = str_from(piece, 1);
		} else if (c->line.len == LINE_PIECE) {
			take_line(c, true);
		}
	}
}

/* A damaged message is returned as far as it can be read: without a report its failure would never end. */
static bool copy_content(struct copy *c, struct spool_reader *reader, struct err *err)
{
	enum spool_status status;
	struct str piece;

	do {
		status = spool_read_content(reader, &piece, err);
		if (status == SPOOL_OK)
			take_piece(c, piece);
	} while (status == SPOOL_OK && piece.n > 0 && !c->done);
	if (!c->done && c->line.len > 0)
		take_line(c, false);
	if (status == SPOOL_CORRUPT)
		cleanup_line(c->r->out, STR("[the message is damaged]"), false);
	return status == SPOOL_OK || status == SPOOL_CORRUPT;
}

bool bounce_original(struct report *r, struct err *err)
{
	struct copy c = {.r = r, .line = BUF(LINE_PIECE), .in_header = true};
	struct spool_reader *reader;
	bool ok;

	if (spool_open_content(r->env->spool, r->queue, &r->e->id, &reader, err) != SPOOL_OK)
		return false;
	bounce_line(r, "Return-Path: <%s>", bounce_address(r, r->e->sender));
	ok = copy_content(&c, reader, err);
	spool_reader_free(&reader);
	buf_free(&c.line);
	return ok;
}
