/*
 * Logical lines of configuration and table files: a line that begins with blank space continues the line
 * before it. Empty lines and lines whose first visible character is '#' are skipped, also between a line and
 * its continuation.
 */
#ifndef BASE_LOGICAL_H
#define BASE_LOGICAL_H

#include "base/buf.h"

struct logical_reader {
	struct str rest; /* what was not read yet */
	int line;	 /* physical lines read so far */
};

struct logical_line {
	struct str text; /* lines joined without their ends, trailing blanks removed; lies in the caller's
			    buffer */
	int first, last; /* physical line numbers, from 1 */
	bool orphan; /* begins with blank space and has no line to continue; callers complain and skip it */
};

struct logical_reader logical_of(struct str content);
/* False at the end. buf holds the line until the next call; a line longer than its max comes truncated, with
 * buf->over set. */
bool logical_next(struct logical_reader *r, struct buf *buf, struct logical_line *line);

#endif
