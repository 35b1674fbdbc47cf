/* The rows of parameters.def as a table. */
#ifndef CONFIG_ROWS_H
#define CONFIG_ROWS_H

#include "base/buf.h"
#include <stddef.h>

enum row_type { ROW_TEXT, ROW_RAW, ROW_TABLES, ROW_BOOL, ROW_INT, ROW_SIZE, ROW_TIME, ROW_ENUM, ROW_WORDS };

enum row_mark {
	ROW_ACTIVE,
	ROW_NEEDED, /* must not be empty */
	ROW_INERT,  /* nothing acts on it yet */
	ROW_MOOT,   /* without effect by design */
	ROW_INFO,   /* for people and scripts */
	ROW_LEGACY  /* an older name that defaults refer to */
};

struct row {
	const char *field; /* in struct config; row_name() is the name */
	enum row_type type;
	const char *dflt;  /* NULL: computed */
	const char *twin;  /* NULL: no lmtp_ twin; else the twin's default, "=": the same with lmtp_ names */
	const char *words; /* ROW_ENUM, ROW_WORDS */
	char unit;	   /* ROW_TIME */
	long long min, max;
	const char *since, *programs;
	enum row_mark mark;
	const char *text;
	size_t offset; /* of the field in struct config */
};

extern const struct row rows[];
size_t row_count(void);
static inline const char *row_name(const struct row *row)
{
	return row->field + (row->field[0] == '_');
}
/* By the row's own name, not the twin's; NULL: no such row. */
const struct row *row_find(const char *name);

#define ROW_NAME_MAX 128
/* "lmtp_tls_loglevel" for the row of smtp_tls_loglevel. */
const char *row_twin_name(const struct row *row, char out[ROW_NAME_MAX]);
/* The twin's default, with lmtp_ names in it; lies in buf or in the row. */
const char *row_twin_default(const struct row *row, struct buf *buf);
/* Whether only other programs read it. Rows of libraries are nobody's alone. */
bool row_is_foreign(const struct row *row, const char *program);

/* A setting that each transport of master.cf has: <transport><suffix>, by default the value of $fallback. */
struct suffix {
	const char *suffix, *fallback;
};
extern const struct suffix transport_suffixes[]; /* ends with a NULL suffix */

#endif
