/* memcache:/file, memcache_table(5): a cache, before another table if there is a "backup". */
#include <time.h>

#include "base/mem.h"
#include "config/config.h"
#include "table/server_table.h"
#include "table/table_type.h"
#include "table/template.h"

#define KEY_MAX 250 /* bytes, of the protocol */
#define DATA_MAX 100000000

struct memcache {
	char *key_format;
	struct matchlist *domain; /* NULL: none */
	struct table *backup;	  /* NULL: none */
	struct database_pool *pool;
	int flags, ttl, data_size_limit, line_size_limit, max_try, retry_pause, timeout;
};

struct connection {
	const struct memcache *cache;
	struct stream *stream;
};

struct question {
	struct server_question question; /* first */
	const struct buf *store;	 /* put this instead of asking */
	bool remove;			 /* or take out what is there */
	bool connected;
};

/* ---- settings */

static bool open_numbers(struct memcache *m, struct settings *s, struct err *err)
{
	const struct {
		const char *name;
		int fallback, min, max, *out;
	} rows[] = {
		{"flags", 0, 0, INT32_MAX, &m->flags},
		{"ttl", 3600, 0, INT32_MAX, &m->ttl},
		{"data_size_limit", 10240, 1, DATA_MAX, &m->data_size_limit},
		{"line_size_limit", 1024, 1, DATA_MAX, &m->line_size_limit},
		{"max_try", 2, 1, 1000, &m->max_try},
		{"retry_pause", 1, 1, 3600, &m->retry_pause},
		{"timeout", 2, 1, 3600, &m->timeout},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (!settings_number(
			    s, rows[i].name, rows[i].fallback, rows[i].min, rows[i].max, rows[i].out, err))
			return false;
	}
	return true;
}

static bool open_tables(struct table *t, struct memcache *m, struct settings *s, struct err *err)
{
	const char *domain = settings_text(s, "domain", ""), *backup = settings_text(s, "backup", "");

	if (*domain) {
		m->domain = matchlist_open("domain", domain, MATCH_EXACT, err);
		if (!m->domain)
			return false;
	}
	if (!*backup)
		return true;
	m->backup = table_open(backup, t->flags, err);
	t->behind = m->backup;
	if (m->backup)
		table_pass_warnings(t, m->backup);
	return m->backup != NULL;
}

static void *memcache_connect(void *state, const char *host, struct err *err);
static void memcache_disconnect(void *connection);
static enum database_status memcache_ask(
	void *connection, struct str key, struct database_answer *answer, struct err *err);

static const struct database_driver memcache_driver = {
	.connect = memcache_connect, .disconnect = memcache_disconnect, .ask = memcache_ask};

static bool memcache_open(struct table *t, const char *name, struct err *err)
{
	struct memcache *m = x_alloc(sizeof(*m));
	struct settings *s = settings_open(name, config_latest_text, err);
	bool ok = s != NULL;

	t->state = m;
	if (ok) {
		m->key_format = x_strdup(settings_text(s, "key_format", "%s"));
		m->pool = database_pool_open(
			&memcache_driver, m, settings_text(s, "memcache", "inet:localhost:11211"));
		ok = template_check("key_format", m->key_format, err) && open_numbers(m, s, err) &&
		     open_tables(t, m, s, err);
	}
	if (ok)
		table_warn_settings(t, s);
	settings_close(&s);
	return ok || err_prefix(err, "%s", t->spec);
}

static void memcache_close(struct table *t)
{
	struct memcache *m = t->state;

	database_pool_close(&m->pool);
	matchlist_close(&m->domain);
	table_close(&m->backup);
	x_free(&m->key_format);
	x_free(&t->state);
}

/* ---- the protocol */

static void *memcache_connect(void *state, const char *host, struct err *err)
{
	const struct memcache *m = state;
	struct stream *stream = server_table_connect(host, m->timeout, err);
	struct connection *c = NULL;

	if (stream) {
		c = x_alloc(sizeof(*c));
		*c = (struct connection){m, stream};
	}
	return c;
}

static void memcache_disconnect(void *connection)
{
	struct connection *c = connection;

	stream_free(&c->stream);
	x_free(&connection);
}

static enum database_status read_line(struct connection *c, struct str *line, struct err *err)
{
	enum line_end end;

	if (stream_line(c->stream, (size_t)c->cache->line_size_limit, line, &end) != STREAM_OK)
		return server_table_lost(c->stream, err);
	if (end == LINE_PARTIAL)
		return server_table_confused(err, "longer than line_size_limit");
	return DATABASE_DONE;
}

/* "VALUE key flags bytes" */
static bool value_size(struct str line, struct str key, uint64_t max, uint64_t *size)
{
	struct str word, name;

	return str_word(&line, " ", &word) && str_is(word, "VALUE") && str_word(&line, " ", &name) &&
	       str_eq(name, key) && str_word(&line, " ", &word) && str_word(&line, " ", &word) &&
	       str_to_u64(word, max, size);
}

static enum database_status read_data(struct connection *c, size_t size, struct buf *data, struct err *err)
{
	enum database_status status;
	struct str line;

	while (data->len < size) {
		if (stream_read(c->stream, size - data->len, &line) != STREAM_OK)
			return server_table_lost(c->stream, err);
		buf_str(data, line);
	}
	status = read_line(c, &line, err);
	if (status == DATABASE_DONE && line.n)
		return server_table_confused(err, "more data than announced");
	if (status == DATABASE_DONE)
		status = read_line(c, &line, err);
	if (status == DATABASE_DONE && !str_is(line, "END"))
		return server_table_confused(err, "no END");
	return status;
}

static enum database_status get(
	struct connection *c, struct str key, struct database_answer *answer, struct err *err)
{
	struct buf data = BUF((size_t)c->cache->data_size_limit);
	enum database_status status;
	struct str line;
	uint64_t size;

	stream_printf(c->stream, "get " STR_FMT "\r\n", STR_ARG(key));
	status = read_line(c, &line, err);
	if (status != DATABASE_DONE || str_is(line, "END"))
		return status;
	if (!value_size(line, key, data.max, &size))
		return server_table_confused(err, "no VALUE of at most data_size_limit bytes");
	status = read_data(c, (size_t)size, &data, err);
	if (status == DATABASE_DONE)
		answer->value(answer, buf_slice(&data));
	buf_free(&data);
	return status;
}

static enum database_status set(
	struct connection *c, struct str key, const struct buf *value, struct err *err)
{
	enum database_status status;
	struct str line;

	stream_printf(c->stream, "set " STR_FMT " %d %d %zu\r\n", STR_ARG(key), c->cache->flags,
		c->cache->ttl, value->len);
	stream_write(c->stream, buf_cstr(value), value->len);
	stream_puts(c->stream, "\r\n");
	status = read_line(c, &line, err);
	if (status == DATABASE_DONE && !str_is(line, "STORED"))
		return server_table_confused(err, "not STORED");
	return status;
}

/* Answers with an empty value where there was an entry. */
static enum database_status take_out(
	struct connection *c, struct str key, struct database_answer *answer, struct err *err)
{
	enum database_status status;
	struct str line;

	stream_printf(c->stream, "delete " STR_FMT "\r\n", STR_ARG(key));
	status = read_line(c, &line, err);
	if (status == DATABASE_DONE && str_is(line, "DELETED"))
		answer->value(answer, STR(""));
	else if (status == DATABASE_DONE && !str_is(line, "NOT_FOUND"))
		return server_table_confused(err, "neither DELETED nor NOT_FOUND");
	return status;
}

static enum database_status memcache_ask(
	void *connection, struct str key, struct database_answer *answer, struct err *err)
{
	struct question *q = (struct question *)answer;
	struct connection *c = connection;

	q->connected = true;
	stream_start_request(c->stream);
	if (q->remove)
		return take_out(c, key, answer, err);
	return q->store ? set(c, key, q->store, err) : get(c, key, answer, err);
}

/* ---- looking up */

/* A command that failed is tried again after a pause, unless there was no connection to be had. */
static enum table_status command(
	struct memcache *m, struct str key, struct question what, struct buf *value, struct err *err)
{
	const struct timespec pause = {.tv_sec = m->retry_pause};
	enum table_status status = TABLE_RETRY;

	for (int i = 0; i < m->max_try && status == TABLE_RETRY; i++) {
		struct question q = what;

		if (i > 0)
			nanosleep(&pause, NULL);
		server_question_init(&q.question, value);
		status = server_table_ask(m->pool, key, &q.question, err);
		if (!q.connected)
			break;
	}
	return status;
}

/* What the protocol can carry: no blanks, no control characters. */
static bool good_key(struct str key)
{
	for (size_t i = 0; i < key.n; i++) {
		unsigned char c = (unsigned char)key.p[i];

		if (c <= ' ' || c == 127)
			return false;
	}
	return key.n > 0 && key.n <= KEY_MAX;
}

static enum table_status in_domain(struct memcache *m, struct str key, struct err *err)
{
	ptrdiff_t at = str_rfind(key, '@');

	if (!m->domain)
		return TABLE_FOUND;
	if (at <= 0 || (size_t)at + 1 == key.n)
		return TABLE_NOT_FOUND;
	return matchlist_name(m->domain, str_from(key, (size_t)at + 1), err);
}

/* The key as the server would have it; false: key_format wants more of it than there is. */
static bool cache_key(const struct memcache *m, struct str key, struct buf *out)
{
	return template_expand(m->key_format, key, key, NULL, NULL, out) && out->len;
}

static enum table_status ask_backup(
	struct memcache *m, struct str key, struct str cached_key, struct buf *value, struct err *err)
{
	struct buf found = BUF(TABLE_VALUE_MAX), unused = BUF(1);
	enum table_status status = table_lookup(m->backup, key, &found, err);
	struct err ignored;

	if (status == TABLE_FOUND) {
		if (good_key(cached_key))
			command(m, cached_key, (struct question){.store = &found}, &unused, &ignored);
		buf_str(value, buf_slice(&found));
	}
	buf_free(&found);
	buf_free(&unused);
	return status;
}

static enum table_status memcache_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	struct memcache *m = t->state;
	struct buf cached_key = BUF(4 * TABLE_KEY_MAX);
	enum table_status status = in_domain(m, key, err);

	if (status != TABLE_FOUND)
		return status;
	status = TABLE_NOT_FOUND;
	if (cache_key(m, key, &cached_key)) {
		if (good_key(buf_slice(&cached_key)))
			status = command(m, buf_slice(&cached_key), (struct question){0}, value, err);
		if (status != TABLE_FOUND && m->backup)
			status = ask_backup(m, key, buf_slice(&cached_key), value, err);
	}
	buf_free(&cached_key);
	return status;
}

static enum table_status forget(struct memcache *m, struct str key, struct err *err)
{
	struct buf cached_key = BUF(4 * TABLE_KEY_MAX), unused = BUF(1);
	enum table_status status = TABLE_NOT_FOUND;

	if (cache_key(m, key, &cached_key) && good_key(buf_slice(&cached_key)))
		status = command(m, buf_slice(&cached_key), (struct question){.remove = true}, &unused, err);
	buf_free(&cached_key);
	buf_free(&unused);
	return status;
}

/* The table behind the cache decides; what the cache still has is forgotten after ttl at the latest. */
static enum table_status memcache_remove(struct table *t, struct str key, struct err *err)
{
	struct memcache *m = t->state;
	enum table_status status = in_domain(m, key, err), cached;
	struct err trouble = {""};

	if (status != TABLE_FOUND || !m->backup)
		return status == TABLE_FOUND ? forget(m, key, err) : status;
	status = table_remove(m->backup, key, err);
	cached = forget(m, key, &trouble);
	if (cached != TABLE_FOUND && cached != TABLE_NOT_FOUND)
		table_report(LOGL_WARNING, "%s: %s", t->spec, trouble.text);
	return status;
}

static enum table_status memcache_each(struct table *t, table_entry_fn entry, void *arg, struct err *err)
{
	struct memcache *m = t->state;

	if (m->backup)
		return table_each(m->backup, entry, arg, err);
	err_set(err, "memcache tables without a backup cannot be listed");
	return TABLE_MISCONFIGURED;
}

const struct table_type table_type_memcache = {.name = "memcache",
	.remote = true,
	.unauthenticated = true,
	.open = memcache_open,
	.close = memcache_close,
	.lookup = memcache_lookup,
	.each = memcache_each,
	.remove = memcache_remove};
