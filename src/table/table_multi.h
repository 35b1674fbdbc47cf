/* Tables made of a { } list of tables: unionmap: and pipemap:. */
#ifndef TABLE_TABLE_MULTI_H
#define TABLE_TABLE_MULTI_H

#include "table/table_type.h"

struct multi {
	struct table **members;
	size_t count;
};

/* Fills t->state with a struct multi. One pattern table among the members makes the whole one. */
bool multi_open(struct table *t, const char *name, struct err *err);
void multi_close(struct table *t);

#endif
