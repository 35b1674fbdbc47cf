/* The text that tables are made from: logical lines, { } groups, "key value" pairs. */
#ifndef TABLE_SOURCE_H
#define TABLE_SOURCE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/logical.h"

#define SOURCE_MAX (1u << 30) /* bytes */

struct source {
	struct buf text;
	struct buf buf;
	struct logical_reader reader;
	struct logical_line line; /* the last one taken */
};
bool source_open(struct source *s, const char *path, struct err *err);
void source_of(struct source *s, struct buf *text); /* takes the text over */
/* "{ {rule}, {rule} }" as lines. The reason of a failure is in err, without the table's name. */
bool source_inline(struct source *s, struct str groups, struct err *err);
/* A line ends at a NUL byte, and may be empty then. */
bool source_next(struct source *s, struct str *logical);
void source_close(struct source *s);
/* Takes the inside of a { } group, blanks trimmed: false with "syntax error after '}' in ..." or "missing '}'
 * in ...". */
bool source_braces(struct str group, struct str *inside, struct err *err);

/* "key value" of postmap(1) source. A quoted part of the key may hold blanks; the key keeps its quotes, as
 * address lookups have them. */
enum source_pair { PAIR_OK, PAIR_NO_VALUE, PAIR_UNBALANCED };
enum source_pair source_pair(struct str line, struct str *key, struct str *value);

/* The content of the named files (separated by commas or blanks), joined by newlines. */
bool source_files(struct str names, struct buf *content, struct err *err);

#endif
