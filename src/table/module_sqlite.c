/* sqlite:/file, sqlite_table(5): a loadable module over SQLite. */
#include <errno.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "table/sql_query.h"

#define BUSY_MS 10000 /* how long a writer may keep the database locked */

struct sqlite {
	char *path;
	char *query;
};

struct connection {
	const struct sqlite *table;
	sqlite3 *db;
	dev_t device;
	ino_t inode;
	bool asked;
};

static void module_close(void *state)
{
	struct sqlite *table = state;

	x_free(&table->path);
	x_free(&table->query);
	x_free(&state);
}

static bool module_open(struct settings *s, void **state, struct err *err)
{
	struct sqlite *table = x_alloc(sizeof(*table));
	const char *path = settings_text(s, "dbpath", "");

	*state = table;
	if (!*path)
		return err_set(err, "dbpath is not set");
	table->path = x_strdup(path);
	table->query = sql_query(s, false, err);
	return table->query != NULL;
}

static bool module_applies(void *state, struct str key)
{
	return template_applies(((struct sqlite *)state)->query, key, true);
}

static void module_disconnect(void *connection)
{
	struct connection *c = connection;

	sqlite3_close(c->db);
	x_free(&connection);
}

static void remember_file(struct connection *c)
{
	struct stat st;

	if (stat(c->table->path, &st) == 0) {
		c->device = st.st_dev;
		c->inode = st.st_ino;
	}
}

/* SQLite sees what is written to a file, not that another one took its place. */
static bool has_new_file(const struct connection *c)
{
	struct stat st;

	return c->asked && stat(c->table->path, &st) == 0 &&
	       (st.st_dev != c->device || st.st_ino != c->inode);
}

static void *module_connect(void *state, const char *host, struct err *err)
{
	struct connection *c = x_alloc(sizeof(*c));
	int problem;

	c->table = state;
	problem = sqlite3_open_v2(c->table->path, &c->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	if (problem == SQLITE_OK) {
		sqlite3_busy_timeout(c->db, BUSY_MS);
		remember_file(c);
		return c;
	}
	errno = c->db ? sqlite3_system_errno(c->db) : ENOMEM;
	if (errno)
		err_errno(err, "open %s", c->table->path);
	else
		err_set(err, "open %s: %s", c->table->path, sqlite3_errstr(problem));
	module_disconnect(c);
	return NULL;
}

/* Inside '...' a quote is doubled; nothing else is special. */
static bool quote(void *arg, struct str text, struct buf *out)
{
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\'')
			buf_putc(out, '\'');
		buf_putc(out, text.p[i]);
	}
	return !out->over;
}

static enum database_status give_rows(sqlite3_stmt *statement, struct database_answer *answer)
{
	int step;

	while ((step = sqlite3_step(statement)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(statement, 0);
		struct str value = {text, text ? (size_t)sqlite3_column_bytes(statement, 0) : 0};

		if (text && !answer->value(answer, value))
			return DATABASE_DONE;
	}
	return step == SQLITE_DONE ? DATABASE_DONE : DATABASE_FAILED;
}

static enum database_status run(
	void *connection, const struct buf *query, struct database_answer *answer, struct err *err)
{
	struct connection *c = connection;
	sqlite3_stmt *statement = NULL;
	enum database_status status = DATABASE_FAILED;

	if (sqlite3_prepare_v2(c->db, buf_cstr(query), (int)query->len, &statement, NULL) == SQLITE_OK &&
		statement)
		status = give_rows(statement, answer);
	if (status != DATABASE_DONE)
		err_set(err, "%s: %s", c->table->path, sqlite3_errmsg(c->db));
	sqlite3_finalize(statement);
	return status;
}

static enum database_status module_ask(
	void *connection, struct str key, struct database_answer *answer, struct err *err)
{
	struct connection *c = connection;

	if (has_new_file(c))
		return DATABASE_LOST;
	c->asked = true;
	return sql_ask(c, c->table->query, quote, run, key, answer, err);
}

DATABASE_MODULE(.files_only = true);
