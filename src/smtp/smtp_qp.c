#include "smtp/smtp_qp.h"

#define COLUMN_MAX 72 /* no byte begins after it: with =XX and the soft break's = a line has at most 76 */

/* Blanks at the end of a line would be lost, and so would those at the end of a piece, if it is the end. */
static bool is_plain(struct str piece, size_t i)
{
	unsigned char c = (unsigned char)piece.p[i];

	if (c == ' ' || c == '\t')
		return i + 1 < piece.n;
	return c > ' ' && c < 127 && c != '=';
}

void smtp_qp_encode(struct str piece, bool ends, size_t *column, struct buf *out)
{
	for (size_t i = 0; i < piece.n; i++) {
		if (*column > COLUMN_MAX) {
			buf_puts(out, "=\r\n");
			*column = 0;
		}
		if (is_plain(piece, i)) {
			buf_putc(out, piece.p[i]);
			*column += 1;
		} else {
			buf_printf(out, "=%02X", (unsigned char)piece.p[i]);
			*column += 3;
		}
	}
	if (ends)
		*column = 0;
}
