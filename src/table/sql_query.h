/* The query of an SQL table, for the modules. */
#ifndef TABLE_SQL_QUERY_H
#define TABLE_SQL_QUERY_H

#include "table/database.h"
#include "table/template.h"

/* "query", or what select_function (where a type has it) or the older settings make. NULL with err. Caller
 * frees. */
char *sql_query(struct settings *s, bool with_function, struct err *err);
/* What a module does with a query that is complete. */
typedef enum database_status (*sql_run_fn)(
	void *connection, const struct buf *query, struct database_answer *answer, struct err *err);
/* Puts the key into the template, quoted, and runs that. quote gets the connection as its argument. */
enum database_status sql_ask(void *connection, const char *template, template_quote quote, sql_run_fn run,
	struct str key, struct database_answer *answer, struct err *err);

#endif
