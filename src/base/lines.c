#include "base/lines.h"

void lines_begin(struct lines *l)
{
	*l = (struct lines){.ahead = BUF(LINES_PIECE + LINES_CHUNK + 16)};
}

void lines_free(struct lines *l)
{
	buf_free(&l->ahead);
}

void lines_feed(struct lines *l, struct str chunk)
{
	buf_remove(&l->ahead, 0, l->at);
	l->at = 0;
	l->ended = chunk.n == 0;
	buf_str(&l->ahead, chunk);
}

/* A CR at the end of a part stays back until it is known whether an LF follows. */
enum lines_result lines_next(struct lines *l, struct str *piece)
{
	struct str rest = str_from(buf_slice(&l->ahead), l->at);
	ptrdiff_t lf = str_find(rest, '\n');
	bool crlf = lf > 0 && rest.p[lf - 1] == '\r';

	if (lf >= 0) {
		*piece = str_first(rest, (size_t)lf - crlf);
		l->at += (size_t)lf + 1;
		return crlf ? LINES_LINE_CRLF : LINES_LINE;
	}
	if (l->ended) {
		*piece = rest;
		l->at += rest.n;
		return rest.n ? LINES_LINE : LINES_END;
	}
	if (rest.n <= LINES_PIECE)
		return LINES_WANT;
	*piece = str_first(rest, rest.n - 1);
	l->at += piece->n;
	return LINES_PART;
}
