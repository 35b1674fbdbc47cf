/*
 * Splits chunks of bytes into lines. Lines longer than LINES_PIECE come in several pieces, so that memory
 * stays bounded.
 */
#ifndef BASE_LINES_H
#define BASE_LINES_H

#include "base/buf.h"

#define LINES_PIECE 65536
#define LINES_CHUNK 65536 /* largest chunk for lines_feed */

struct lines {
	struct buf ahead;
	size_t at;
	bool ended;
};

void lines_begin(struct lines *l);
void lines_free(struct lines *l);
/* The next chunk; an empty one is the end of input. Call when lines_next wants more. */
void lines_feed(struct lines *l, struct str chunk);

enum lines_result {
	LINES_LINE,	 /* the rest of a line, or a whole one, that ended with LF */
	LINES_LINE_CRLF, /* the same, with CRLF */
	LINES_PART,	 /* the line goes on in the next piece */
	LINES_WANT,	 /* feed me */
	LINES_END
};
/* A piece without line end; lives until the next call. The last line need not have an end: it counts as
 * LINES_LINE. */
enum lines_result lines_next(struct lines *l, struct str *piece);

#endif
