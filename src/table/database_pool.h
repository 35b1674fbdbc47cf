/*
 * The connections of one database table. Shared state: idle connections, their number in use and when hosts
 * failed, guarded by the pool's lock. A connection in use belongs to one thread. The list of all pools has a
 * lock of its own.
 */
#ifndef TABLE_DATABASE_POOL_H
#define TABLE_DATABASE_POOL_H

#include "table/database.h"

#define POOL_CONNECTIONS 16   /* in use at a time; more threads wait */
#define POOL_WAIT 30	      /* seconds, for one of these */
#define POOL_IDLE_SECONDS 60  /* a connection that nobody used so long is closed; unless set otherwise */
#define POOL_RETRY_SECONDS 60 /* so long a host that failed is asked only when no other is left; likewise */

struct database_pool;

/* hosts: separated by blanks and commas. */
struct database_pool *database_pool_open(
	const struct database_driver *driver, void *state, const char *hosts);
/* In seconds. Before the first question. */
void database_pool_set_intervals(struct database_pool *pool, int idle, int retry);
void database_pool_close(struct database_pool **pool);
/* Asks over a connection that is there, or else host after host. DATABASE_LOST: no host answered. begin() is
 * called before each question, so that pieces of an answer that failed are forgotten. */
enum database_status database_pool_ask(struct database_pool *pool, struct str key,
	struct database_answer *answer, void (*begin)(struct database_answer *answer), struct err *err);
/* Closes the connections of all pools that nobody used for their idle time. */
void database_pool_close_idle(void);

#endif
