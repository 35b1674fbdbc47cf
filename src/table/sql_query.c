#include "table/sql_query.h"

#include "base/mem.h"

#define QUERY_MAX 1000000

static char *from_parts(struct settings *s, struct err *err)
{
	const char *select = settings_text(s, "select_field", "");
	const char *table = settings_text(s, "table", "");
	const char *where = settings_text(s, "where_field", "");

	if (!*select || !*table || !*where) {
		err_set(err, "query is not set");
		return NULL;
	}
	return x_asprintf("SELECT %s FROM %s WHERE %s = '%%s' %s", select, table, where,
		settings_text(s, "additional_conditions", ""));
}

static char *query_text(struct settings *s, bool with_function, struct err *err)
{
	const char *query = settings_text(s, "query", "");
	const char *function = with_function ? settings_text(s, "select_function", "") : "";

	if (*query)
		return x_strdup(query);
	if (*function)
		return x_asprintf("SELECT %s('%%s')", function);
	return from_parts(s, err);
}

char *sql_query(struct settings *s, bool with_function, struct err *err)
{
	char *query = query_text(s, with_function, err);

	if (query && !template_check("query", query, err))
		x_free(&query);
	return query;
}

enum database_status sql_ask(void *connection, const char *template, template_quote quote, sql_run_fn run,
	struct str key, struct database_answer *answer, struct err *err)
{
	struct buf query = BUF(QUERY_MAX);
	enum database_status status = DATABASE_FAILED;

	if (template_expand(template, key, key, quote, connection, &query))
		status = run(connection, &query, answer, err);
	else
		err_set(err, "the key cannot be quoted, or the query is too long");
	buf_free(&query);
	return status;
}
