/* The content of a message line by line. */
#ifndef SPOOL_SPOOL_LINES_H
#define SPOOL_SPOOL_LINES_H

#include "base/lines.h"
#include "spool/spool.h"

struct spool_lines {
	struct lines lines;
	struct spool_reader *reader; /* borrowed */
};

void spool_lines_begin(struct spool_lines *l, struct spool_reader *reader);
void spool_lines_free(struct spool_lines *l);
/* kind: LINES_LINE, LINES_LINE_CRLF, LINES_PART or LINES_END, with the piece as lines_next gives it;
 * SPOOL_CORRUPT at a bad checksum. */
enum spool_status spool_lines_next(
	struct spool_lines *l, struct str *piece, enum lines_result *kind, struct err *err);

#endif
