/*
 * A process that changed its root directory cannot ask the system for its accounts, nor a database behind a
 * socket of the system: the files and sockets are outside. A helper process that was forked before stays
 * outside, with the rights of the mail user, and answers for it.
 *
 * The helper answers for tables that were named before the jail, and for no others: who takes over the
 * process inside learns no more than it could ask for anyway.
 *
 * Shared state: the connections to the helper, set once before threads start; each has a lock that keeps
 * question and answer together.
 */
#ifndef TABLE_TABLE_OUTSIDE_H
#define TABLE_TABLE_OUTSIDE_H

#include "table/table.h"
#include <sys/types.h>

/* Forks the helper; to be called while there is one thread. It keeps standard descriptors alone, becomes uid
 * and gid, and ends with this process. */
bool table_outside_start(uid_t uid, gid_t gid, struct err *err);
bool table_outside_active(void);
/* The table may be asked for; nothing happens where there is no helper. */
void table_outside_allow(const char *spec);
/* From here on no more tables are allowed. */
void table_outside_seal(void);
/* flags: those of the table. forbidden, if not NULL, is set where its file is there and only root may read
 * it.
 */
enum table_status table_outside_lookup(
	const char *spec, int flags, struct str key, struct buf *value, bool *forbidden, struct err *err);
/* The process is about to end: the helper ends first. */
void table_outside_stop(void);

#endif
