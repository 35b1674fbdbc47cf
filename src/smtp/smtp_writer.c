#include "smtp/smtp_writer.h"

#include "base/stream.h"
#include "mail/smtp_text.h"

static bool fold_piece(struct smtp_writer *w, struct str piece)
{
	while (w->column + piece.n > w->limit) {
		size_t room = w->limit - w->column;

		if (!stream_write(w->out, piece.p, room) || !stream_puts(w->out, "\r\n "))
			return false;
		w->broke = true;
		piece = str_from(piece, room);
		w->column = 1;
	}
	w->column += piece.n;
	return stream_write(w->out, piece.p, piece.n);
}

static bool put_folded(struct smtp_writer *w, struct str text)
{
	while (text.n > 0) {
		ptrdiff_t lf = str_find(text, '\n');
		struct str line = lf < 0 ? text : str_first(text, (size_t)lf);
		bool ends_cr;

		if (w->held_cr && line.n > 0 && !fold_piece(w, STR("\r")))
			return false;
		ends_cr = line.n > 0 ? line.p[line.n - 1] == '\r' : w->held_cr;
		if (line.n > 0 && ends_cr)
			line.n--;
		w->held_cr = ends_cr && lf < 0;
		if (w->column == 0 && line.n > 0 && line.p[0] == '.' && !stream_write(w->out, ".", 1))
			return false;
		if (line.n > 0 && !fold_piece(w, line))
			return false;
		if (lf < 0)
			break;
		if (!stream_write(w->out, "\r\n", 2))
			return false;
		w->column = 0;
		text = str_from(text, (size_t)lf + 1);
	}
	w->first_of_line = w->column == 0;
	return true;
}

bool smtp_writer_put(struct smtp_writer *w, struct str text)
{
	if (text.n == 0)
		return true;
	if (w->fold)
		return put_folded(w, text);
	if (w->dots)
		return smtp_write_content(w->out, text, &w->first_of_line);
	w->first_of_line = text.p[text.n - 1] == '\n';
	return stream_write(w->out, text.p, text.n);
}
