/* What types have in common whose tables ask a server over a stream: connections that are kept, and one
 * answer. */
#ifndef TABLE_SERVER_TABLE_H
#define TABLE_SERVER_TABLE_H

#include "base/stream.h"
#include "table/database_pool.h"

/* An answer that is appended to value; drivers that need more of the question put it around this. */
struct server_question {
	struct database_answer answer; /* first */
	struct buf *value;
	size_t start; /* where the answer begins */
	bool found;
};

void server_question_init(struct server_question *q, struct buf *value);
enum table_status server_table_ask(
	struct database_pool *pool, struct str key, struct server_question *q, struct err *err);
/* seconds: for the connection, and later for each question with its answer. NULL with err. */
struct stream *server_table_connect(const char *endpoint, int seconds, struct err *err);
/* Fills err with why the stream failed: DATABASE_LOST. */
enum database_status server_table_lost(struct stream *s, struct err *err);
/* The answer makes no sense: DATABASE_LOST, for what follows on this connection is unknown. */
enum database_status server_table_confused(struct err *err, const char *what);

#endif
