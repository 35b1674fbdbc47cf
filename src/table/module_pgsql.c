/* pgsql:/file, pgsql_table(5): a loadable module over libpq. */
#include <libpq-fe.h>
#include <poll.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/net.h"
#include "table/sql_query.h"

#define TIMEOUT_DEFAULT 10 /* seconds */

struct pgsql {
	char *user, *password, *dbname, *encoding; /* NULL: not set */
	char *query;
	int timeout; /* seconds to connect, and again to answer */
};

struct connection {
	const struct pgsql *table;
	PGconn *pg;
};

/* ---- settings */

static void module_close(void *state)
{
	struct pgsql *table = state;

	if (table->password)
		explicit_bzero(table->password, strlen(table->password));
	x_free(&table->user);
	x_free(&table->password);
	x_free(&table->dbname);
	x_free(&table->encoding);
	x_free(&table->query);
	x_free(&state);
}

static char *copy(struct settings *s, const char *name, const char *fallback)
{
	const char *text = settings_text(s, name, fallback);

	return text ? x_strdup(text) : NULL;
}

static bool module_open(struct settings *s, void **state, struct err *err)
{
	struct pgsql *table = x_alloc(sizeof(*table));

	*state = table;
	table->user = copy(s, "user", NULL);
	table->password = copy(s, "password", NULL);
	table->dbname = copy(s, "dbname", NULL);
	table->encoding = copy(s, "encoding", "UTF8");
	table->query = sql_query(s, true, err);
	return table->query && settings_number(s, "timeout", TIMEOUT_DEFAULT, 1, 3600, &table->timeout, err);
}

static bool module_applies(void *state, struct str key)
{
	return template_applies(((struct pgsql *)state)->query, key, true);
}

/* ---- connections */

/* The library's text without its line ends. */
static void complain(const PGconn *pg, struct err *err)
{
	char *text = x_strdup(PQerrorMessage(pg));

	for (char *p = text; *p; p++) {
		if (*p == '\n' || *p == '\t')
			*p = ' ';
	}
	err_set(err, STR_FMT, STR_ARG(str_trim(str_c(text))));
	x_free(&text);
}

static bool finish_connecting(PGconn *pg, int64_t deadline, struct err *err)
{
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;

	while (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING) {
		if (net_wait(PQsocket(pg), status == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline) != 1)
			return err_set(err, "no connection in time");
		status = PQconnectPoll(pg);
	}
	if (status == PGRES_POLLING_OK)
		return true;
	complain(pg, err);
	return false;
}

struct words {
	const char *names[10], *values[10]; /* the last is NULL */
	size_t count;
};

static void add_word(struct words *w, const char *name, const char *value)
{
	if (!value)
		return;
	w->names[w->count] = name;
	w->values[w->count++] = value;
}

/* host:port, [address]:port or a socket's path. The path of libpq is the directory: the name in it is made of
 * the port, as in /var/run/postgresql/.s.PGSQL.5432. */
static void add_host(struct words *w, char *host)
{
	char *socket = strstr(host, "/.s.PGSQL."), *colon = strrchr(host, ':');

	if (*host == '/' && socket) {
		*socket = '\0';
		add_word(w, "port", socket + strlen("/.s.PGSQL."));
	} else if (*host != '/' && colon) {
		*colon = '\0';
		add_word(w, "port", colon + 1);
	}
	if (*host == '[' && host[strlen(host) - 1] == ']') {
		host[strlen(host) - 1] = '\0';
		host++;
	}
	add_word(w, "host", host);
}

static PGconn *start_connecting(const struct pgsql *table, const char *host)
{
	bool uri =
		str_starts(str_c(host), STR("postgresql://")) || str_starts(str_c(host), STR("postgres://"));
	bool prefix = str_starts(str_c(host), STR("inet:")) || str_starts(str_c(host), STR("unix:"));
	char *name = x_strdup(host + (prefix ? 5 : 0));
	struct words w = {.count = 0};
	PGconn *pg;

	/* What a URI says overrides what stands before it. */
	add_word(&w, "user", table->user);
	add_word(&w, "password", table->password);
	add_word(&w, "client_encoding", table->encoding);
	add_word(&w, "dbname", uri ? name : table->dbname);
	if (!uri)
		add_host(&w, name);
	pg = PQconnectStartParams(w.names, w.values, 1);
	x_free(&name);
	return pg;
}

static void module_disconnect(void *connection)
{
	struct connection *c = connection;

	PQfinish(c->pg);
	x_free(&connection);
}

static void ignore_notice(void *arg, const PGresult *result)
{
}

/* The host as it may be shown: a URI's is what stands behind the password, if there is any. */
static const char *public_part(const char *host)
{
	const char *scheme = strstr(host, "://"), *at = strrchr(host, '@');

	if (!scheme)
		return host;
	return at ? at + 1 : strchr(host, '?') ? "of a connection URI" : host;
}

static void *module_connect(void *state, const char *host, struct err *err)
{
	struct connection *c = x_alloc(sizeof(*c));

	c->table = state;
	c->pg = start_connecting(c->table, host);
	if (!c->pg)
		err_set(err, "no memory");
	else if (PQstatus(c->pg) == CONNECTION_BAD)
		complain(c->pg, err);
	else if (finish_connecting(c->pg, deadline_in(c->table->timeout), err)) {
		PQsetNoticeReceiver(c->pg, ignore_notice, NULL);
		return c;
	}
	err_prefix(err, "host %s", public_part(host));
	module_disconnect(c);
	return NULL;
}

/* ---- questions */

static bool quote(void *arg, struct str text, struct buf *out)
{
	struct connection *c = arg;
	char *room = buf_reserve(out, 2 * text.n + 1);
	int problem = 0;

	if (!room)
		return false;
	buf_added(out, PQescapeStringConn(c->pg, room, text.p, text.n, &problem));
	return problem == 0;
}

static enum database_status give_rows(PGresult *result, struct database_answer *answer)
{
	const int columns = PQnfields(result), values = PQntuples(result) * columns;
	bool more = true;

	for (int i = 0; more && i < values; i++) {
		const int row = i / columns, column = i % columns;
		const struct str value = {
			PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column)};

		more = PQgetisnull(result, row, column) || answer->value(answer, value);
	}
	return DATABASE_DONE;
}

static enum database_status take_result(
	struct connection *c, PGresult *result, struct database_answer *answer, struct err *err)
{
	switch (PQresultStatus(result)) {
	case PGRES_TUPLES_OK:
	case PGRES_SINGLE_TUPLE:
		return give_rows(result, answer);
	case PGRES_COMMAND_OK: /* something was done, nothing found */
		return DATABASE_DONE;
	case PGRES_EMPTY_QUERY:
		err_set(err, "the query is empty");
		return DATABASE_FAILED;
	case PGRES_FATAL_ERROR:
	case PGRES_BAD_RESPONSE:
		complain(c->pg, err);
		return PQstatus(c->pg) == CONNECTION_OK ? DATABASE_FAILED : DATABASE_LOST;
	default: /* COPY, which would go on for ever */
		err_set(err, "the query is no SELECT");
		return DATABASE_LOST;
	}
}

static enum database_status wait_for_result(struct connection *c, int64_t deadline, struct err *err)
{
	while (PQflush(c->pg) == 1 || PQisBusy(c->pg)) {
		short events = PQflush(c->pg) == 1 ? POLLIN | POLLOUT : POLLIN;

		if (net_wait(PQsocket(c->pg), events, deadline) != 1) {
			err_set(err, "the server does not answer in time");
			return DATABASE_LOST;
		}
		if (!PQconsumeInput(c->pg)) {
			complain(c->pg, err);
			return DATABASE_LOST;
		}
	}
	return DATABASE_DONE;
}

/* Takes the results up to the last, which is NULL; a text of several queries is not sent (PQsendQueryParams).
 */
static enum database_status take_results(
	struct connection *c, int64_t deadline, struct database_answer *answer, struct err *err)
{
	enum database_status status = DATABASE_DONE, waited;
	PGresult *result;

	for (;;) {
		waited = wait_for_result(c, deadline, err);
		if (waited != DATABASE_DONE)
			return waited;
		result = PQgetResult(c->pg);
		if (!result)
			return status;
		if (status == DATABASE_DONE)
			status = take_result(c, result, answer, err);
		PQclear(result);
		if (status == DATABASE_LOST)
			return status;
	}
}

static enum database_status run(
	void *connection, const struct buf *query, struct database_answer *answer, struct err *err)
{
	struct connection *c = connection;
	if (!PQsendQueryParams(c->pg, buf_cstr(query), 0, NULL, NULL, NULL, NULL, 0)) {
		complain(c->pg, err);
		return DATABASE_LOST;
	}
	return take_results(c, deadline_in(c->table->timeout), answer, err);
}

static enum database_status module_ask(
	void *connection, struct str key, struct database_answer *answer, struct err *err)
{
	struct connection *c = connection;

	return sql_ask(c, c->table->query, quote, run, key, answer, err);
}

DATABASE_MODULE(.hosts_setting = "hosts", .hosts_default = "localhost");
