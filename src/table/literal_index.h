/*
 * Which of many rules may apply to a key, by the literals that each needs: of each literal the three bytes
 * that are rarest among all literals are looked for at every place of the key.
 */
#ifndef TABLE_LITERAL_INDEX_H
#define TABLE_LITERAL_INDEX_H

#include "table/pattern_literals.h"

struct literal_index;

struct literal_index *literal_index_new(void);
void literal_index_free(struct literal_index **x);
/* false: the literals are too short to be of use. */
bool literal_index_add(struct literal_index *x, size_t rule, const struct literals *needed);
void literal_index_finish(struct literal_index *x); /* once, after the last add and before the first mark */
/* Sets the bits of the rules that have one of their literals in the key. */
void literal_index_mark(const struct literal_index *x, struct str key, uint64_t *rules);

#endif
