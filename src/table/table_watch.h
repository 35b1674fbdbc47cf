/*
 * Tables that are made from a file take up a changed one. Lookups look at the file about once a second; where
 * it was replaced or written anew, the table is opened again, and only then the old one is given up.
 *
 * A process that changed its root directory cannot reach the file any more. It holds a descriptor from before
 * (O_PATH, which opens nothing) and sees by it that the file is not what it was: table_tick() in table.h.
 *
 * Shared state: the list of all watches, guarded by its lock; the state of a watched table, guarded by the
 * watch's.
 */
#ifndef TABLE_TABLE_WATCH_H
#define TABLE_TABLE_WATCH_H

#include "table/table_type.h"

enum watch_style {
	WATCH_REPLACED, /* a new file takes the place of the old one at once */
	WATCH_LISTED,	/* as WATCH_EDITED, and only a new process can take it up */
	WATCH_EDITED	/* people and scripts write it: a change counts when it has rested for a moment */
};

/* For the open function of a type, before it reads the file. A second call names another file. */
void table_watch_file(struct table *t, const char *path, enum watch_style style);
/* A file that is no table: its change makes the process need a new one. */
struct table_watch *table_watch_list(const char *path);
void table_watch_free(struct table_watch **w);
/* Whether the file is there, and this process may not read it. */
bool table_watch_forbidden(const struct table_watch *w);
/* To be told in a jail, where nobody sees it: there is a file. It is a new one if there was none. */
void table_watch_appeared(struct table_watch *w);
/* Takes up a new file if there is one. The table's state stays as it is until table_watch_leave. */
void table_watch_enter(struct table *t);
void table_watch_leave(struct table *t);
/* Whether there is a new file of any table that this process cannot open: its name goes to which. */
bool table_watch_stuck(struct buf *which);

#endif
