/*
 * A process that changed its root directory cannot ask the system for its accounts: the files and sockets
 * behind them are outside. A helper process that was forked before stays outside, with the rights of the mail
 * user, and answers for it.
 *
 * Shared state: the connection to the helper, set once before threads start; a lock keeps question and answer
 * together.
 */
#ifndef TABLE_TABLE_OUTSIDE_H
#define TABLE_TABLE_OUTSIDE_H

#include "table/table.h"
#include <sys/types.h>

/* Forks the helper; to be called while there is one thread. It keeps standard descriptors alone, becomes uid
 * and gid, and ends with this process. */
bool table_outside_start(uid_t uid, gid_t gid, struct err *err);
bool table_outside_active(void);
enum table_status table_outside_lookup(const char *spec, struct str key, struct buf *value, struct err *err);
/* The process is about to end: the helper ends first. */
void table_outside_stop(void);

#endif
