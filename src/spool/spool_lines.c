#include "spool/spool_lines.h"

void spool_lines_begin(struct spool_lines *l, struct spool_reader *reader)
{
	lines_begin(&l->lines);
	l->reader = reader;
}

void spool_lines_free(struct spool_lines *l)
{
	lines_free(&l->lines);
}

enum spool_status spool_lines_next(
	struct spool_lines *l, struct str *piece, enum lines_result *kind, struct err *err)
{
	while ((*kind = lines_next(&l->lines, piece)) == LINES_WANT) {
		struct str chunk;
		enum spool_status status = spool_read_content(l->reader, &chunk, err);

		if (status != SPOOL_OK)
			return status;
		lines_feed(&l->lines, chunk);
	}
	return SPOOL_OK;
}
