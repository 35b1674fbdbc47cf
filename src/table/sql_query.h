/* The query of an SQL table, for the modules. */
#ifndef TABLE_SQL_QUERY_H
#define TABLE_SQL_QUERY_H

#include "table/settings.h"

/* "query", or what select_function (where a type has it) or the older settings make. NULL with err. Caller
 * frees. */
char *sql_query(struct settings *s, bool with_function, struct err *err);

#endif
