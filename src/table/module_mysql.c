/* mysql:/file, mysql_table(5): a loadable module over MariaDB Connector/C. */
#include <mysql.h>
#include <pthread.h>

#include "base/mem.h"
#include "table/sql_query.h"

#define TIMEOUT_DEFAULT 10 /* seconds */

struct mysql {
	char *user, *password, *dbname, *charset; /* NULL: not set */
	char *option_file, *option_group;
	char *cert, *key, *ca_file, *ca_path, *ciphers;
	char *query;
	int timeout; /* seconds to connect, and for each answer */
	bool require_result_set, verify_cert;
};

struct connection {
	const struct mysql *table;
	MYSQL *my;
};

/* ---- settings */

static void module_close(void *state)
{
	struct mysql *table = state;
	char **texts[] = {&table->user, &table->password, &table->dbname, &table->charset,
		&table->option_file, &table->option_group, &table->cert, &table->key, &table->ca_file,
		&table->ca_path, &table->ciphers, &table->query};

	if (table->password)
		explicit_bzero(table->password, strlen(table->password));
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		x_free(texts[i]);
	x_free(&state);
}

static void copy_texts(struct mysql *table, struct settings *s)
{
	const struct {
		const char *name, *fallback;
		char **out;
	} rows[] = {
		{"user", NULL, &table->user},
		{"password", NULL, &table->password},
		{"dbname", NULL, &table->dbname},
		{"charset", "utf8mb4", &table->charset},
		{"option_file", NULL, &table->option_file},
		{"option_group", "client", &table->option_group},
		{"tls_cert_file", NULL, &table->cert},
		{"tls_key_file", NULL, &table->key},
		{"tls_CAfile", NULL, &table->ca_file},
		{"tls_CApath", NULL, &table->ca_path},
		{"tls_ciphers", NULL, &table->ciphers},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *text = settings_text(s, rows[i].name, rows[i].fallback);

		*rows[i].out = text ? x_strdup(text) : NULL;
	}
}

/* The library's own start is not safe when threads race for it. */
static void start_library(void)
{
	mysql_library_init(0, NULL, NULL);
}

static bool module_open(struct settings *s, void **state, struct err *err)
{
	static pthread_once_t started = PTHREAD_ONCE_INIT;
	struct mysql *table = x_alloc(sizeof(*table));

	pthread_once(&started, start_library);
	*state = table;
	copy_texts(table, s);
	table->query = sql_query(s, false, err);
	return table->query &&
	       settings_bool(s, "require_result_set", true, &table->require_result_set, err) &&
	       settings_bool(s, "tls_verify_cert", false, &table->verify_cert, err) &&
	       settings_number(s, "timeout", TIMEOUT_DEFAULT, 1, 3600, &table->timeout, err);
}

static bool module_applies(void *state, struct str key)
{
	return template_applies(((struct mysql *)state)->query, key, true);
}

/* ---- connections */

static void set_options(MYSQL *my, const struct mysql *table)
{
	unsigned seconds = (unsigned)table->timeout;
	my_bool verify = table->verify_cert;

	mysql_options(my, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
	mysql_options(my, MYSQL_OPT_READ_TIMEOUT, &seconds);
	mysql_options(my, MYSQL_OPT_WRITE_TIMEOUT, &seconds);
	if (table->option_file)
		mysql_options(my, MYSQL_READ_DEFAULT_FILE, table->option_file);
	if (*table->option_group)
		mysql_options(my, MYSQL_READ_DEFAULT_GROUP, table->option_group);
	mysql_options(my, MYSQL_SET_CHARSET_NAME, table->charset);
	if (table->cert || table->key || table->ca_file || table->ca_path || table->ciphers)
		mysql_ssl_set(my, table->key, table->cert, table->ca_file, table->ca_path, table->ciphers);
	mysql_options(my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
}

struct place {
	char *text; /* to be freed; what follows lies in it */
	const char *host, *socket;
	unsigned port;
};

static bool parse_host(const char *host, struct place *place, struct err *err)
{
	bool prefix = str_starts(str_c(host), STR("inet:")) || str_starts(str_c(host), STR("unix:"));
	char *text = x_strdup(host + (prefix ? 5 : 0)), *colon = strrchr(text, ':');
	uint64_t port = 0;

	*place = (struct place){.text = text};
	if (*text == '/') {
		place->socket = text;
		return true;
	}
	if (colon) {
		*colon = '\0';
		if (!str_to_u64(str_c(colon + 1), 65535, &port))
			return err_set(err, "a port number is wanted");
	}
	if (*text == '[' && text[strlen(text) - 1] == ']') {
		text[strlen(text) - 1] = '\0';
		text++;
	}
	place->host = text;
	place->port = (unsigned)port;
	return true;
}

static void module_disconnect(void *connection)
{
	struct connection *c = connection;

	mysql_close(c->my);
	x_free(&connection);
}

static bool connect_to(struct connection *c, const struct place *place, struct err *err)
{
	const struct mysql *table = c->table;

	c->my = mysql_init(NULL);
	if (!c->my)
		return err_set(err, "no memory");
	set_options(c->my, table);
	if (mysql_real_connect(c->my, place->host, table->user, table->password, table->dbname, place->port,
		    place->socket, CLIENT_MULTI_RESULTS))
		return true;
	return err_set(err, "%s", mysql_error(c->my));
}

static void *module_connect(void *state, const char *host, struct err *err)
{
	struct connection *c = x_alloc(sizeof(*c));
	struct place place;

	c->table = state;
	if (!parse_host(host, &place, err) || !connect_to(c, &place, err)) {
		err_prefix(err, "host %s", host);
		module_disconnect(c);
		c = NULL;
	}
	x_free(&place.text);
	return c;
}

/* ---- questions */

static bool quote(void *arg, struct str text, struct buf *out)
{
	struct connection *c = arg;
	char *room = buf_reserve(out, 2 * text.n + 1);
	unsigned long n;

	if (!room)
		return false;
	n = mysql_real_escape_string(c->my, room, text.p, text.n);
	if (n == (unsigned long)-1)
		return false;
	buf_added(out, n);
	return true;
}

/* Errors of the library (2000 and above) are of the connection, those below are the server's. */
static enum database_status failed(struct connection *c, struct err *err)
{
	unsigned code = mysql_errno(c->my);

	err_set(err, "%s", mysql_error(c->my));
	return code >= 2000 && code < 3000 ? DATABASE_LOST : DATABASE_FAILED;
}

static void give_rows(MYSQL_RES *result, struct database_answer *answer)
{
	const unsigned columns = mysql_num_fields(result);
	bool more = true;
	MYSQL_ROW row;

	while (more && (row = mysql_fetch_row(result))) {
		const unsigned long *sizes = mysql_fetch_lengths(result);

		for (unsigned i = 0; more && i < columns; i++)
			more = !row[i] || answer->value(answer, (struct str){row[i], sizes[i]});
	}
}

static enum database_status take_result(
	struct connection *c, size_t *sets, struct database_answer *answer, struct err *err)
{
	MYSQL_RES *result = mysql_store_result(c->my);

	if (!result)
		return mysql_errno(c->my) ? failed(c, err) : DATABASE_DONE;
	if (++*sets == 1)
		give_rows(result, answer);
	mysql_free_result(result);
	return DATABASE_DONE;
}

/* A stored procedure answers with a result set and then a status. */
static enum database_status take_results(
	struct connection *c, struct database_answer *answer, struct err *err)
{
	enum database_status status;
	size_t sets = 0;
	int more;

	do {
		status = take_result(c, &sets, answer, err);
		if (status != DATABASE_DONE)
			return status == DATABASE_FAILED ? DATABASE_LOST : status;
		more = mysql_next_result(c->my);
	} while (more == 0);
	if (more > 0)
		return failed(c, err);
	if (sets > 1 || (sets == 0 && c->table->require_result_set)) {
		err_set(err, "the query returns %s", sets ? "more than one result set" : "no result set");
		return DATABASE_FAILED;
	}
	return DATABASE_DONE;
}

static enum database_status run(
	void *connection, const struct buf *query, struct database_answer *answer, struct err *err)
{
	struct connection *c = connection;

	if (mysql_real_query(c->my, buf_cstr(query), query->len) != 0)
		return failed(c, err);
	return take_results(c, answer, err);
}

static enum database_status module_ask(
	void *connection, struct str key, struct database_answer *answer, struct err *err)
{
	struct connection *c = connection;

	return sql_ask(c, c->table->query, quote, run, key, answer, err);
}

DATABASE_MODULE(.hosts_setting = "hosts", .hosts_default = "localhost");
