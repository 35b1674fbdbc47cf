/* socketmap:inet:host:port:name and socketmap:unix:path:name, socketmap_table(5): "name key" and an answer,
 * each as a netstring. */
#include "base/mem.h"
#include "table/server_table.h"
#include "table/table_type.h"

#define SOCKETMAP_SECONDS 100
#define SOCKETMAP_ANSWER_MAX TABLE_VALUE_MAX
#define LENGTH_DIGITS_MAX 6

struct socketmap {
	char *name;
	struct database_pool *pool;
};

struct connection {
	const struct socketmap *map;
	struct stream *stream;
};

/* ---- netstrings: the length in decimal digits, ':', the bytes, ',' */

static enum database_status read_length(struct stream *s, size_t *length, struct err *err)
{
	char digits[LENGTH_DIGITS_MAX + 1];
	struct str text = {digits, 0};
	uint64_t number;

	for (; text.n < sizeof(digits); text.n++) {
		if (stream_read_exact(s, &digits[text.n], 1) != STREAM_OK)
			return server_table_lost(s, err);
		if (digits[text.n] < '0' || digits[text.n] > '9')
			break;
	}
	if (text.n == sizeof(digits) || digits[text.n] != ':' || (text.n > 1 && digits[0] == '0') ||
		!str_to_u64(text, SOCKETMAP_ANSWER_MAX, &number))
		return server_table_confused(err, "no netstring of at most 100000 bytes");
	*length = (size_t)number;
	return DATABASE_DONE;
}

static enum database_status read_bytes(struct stream *s, size_t length, struct buf *answer, struct err *err)
{
	struct str piece;
	char end;

	while (answer->len < length) {
		if (stream_read(s, length - answer->len, &piece) != STREAM_OK)
			return server_table_lost(s, err);
		buf_str(answer, piece);
	}
	if (stream_read_exact(s, &end, 1) != STREAM_OK)
		return server_table_lost(s, err);
	return end == ',' ? DATABASE_DONE : server_table_confused(err, "no comma behind a netstring");
}

/* ---- questions */

static enum database_status failed(struct str word, struct str reason, struct err *err)
{
	err_set(err, "the server says: " STR_FMT " " STR_FMT, STR_ARG(word), STR_ARG(reason));
	return DATABASE_FAILED;
}

static enum database_status take_answer(struct str text, struct database_answer *answer, struct err *err)
{
	ptrdiff_t blank = str_find(text, ' ');
	struct str word = str_first(text, blank < 0 ? text.n : (size_t)blank);
	struct str rest = str_from(text, word.n + 1);

	if (str_is(word, "NOTFOUND"))
		return DATABASE_DONE;
	if (str_is(word, "OK") && blank >= 0) {
		answer->value(answer, rest);
		return DATABASE_DONE;
	}
	if (str_is(word, "TEMP") || str_is(word, "TIMEOUT") || str_is(word, "PERM"))
		return failed(word, rest, err);
	return server_table_confused(err, "an unknown status");
}

static void send_question(struct connection *c, struct str key)
{
	stream_start_request(c->stream);
	stream_printf(c->stream, "%zu:%s ", strlen(c->map->name) + 1 + key.n, c->map->name);
	stream_write(c->stream, key.p, key.n);
	stream_puts(c->stream, ",");
}

static enum database_status socketmap_ask(
	void *connection, struct str key, struct database_answer *answer, struct err *err)
{
	struct connection *c = connection;
	struct buf text = BUF(SOCKETMAP_ANSWER_MAX);
	enum database_status status;
	size_t length = 0;

	send_question(c, key);
	status = read_length(c->stream, &length, err);
	if (status == DATABASE_DONE)
		status = read_bytes(c->stream, length, &text, err);
	if (status == DATABASE_DONE)
		status = take_answer(buf_slice(&text), answer, err);
	buf_free(&text);
	return status;
}

static void socketmap_disconnect(void *connection)
{
	struct connection *c = connection;

	stream_free(&c->stream);
	x_free(&connection);
}

static void *socketmap_connect(void *state, const char *host, struct err *err)
{
	struct stream *stream = server_table_connect(host, SOCKETMAP_SECONDS, err);
	struct connection *c = NULL;

	if (stream) {
		c = x_alloc(sizeof(*c));
		*c = (struct connection){state, stream};
	}
	return c;
}

static const struct database_driver socketmap_driver = {
	.connect = socketmap_connect, .disconnect = socketmap_disconnect, .ask = socketmap_ask};

/* ---- the type */

static bool socketmap_open(struct table *t, const char *name, struct err *err)
{
	ptrdiff_t colon = str_rfind(str_c(name), ':');
	struct str kind = str_first(str_c(name), 5);
	struct socketmap *map;
	char *endpoint;

	if ((!str_is(kind, "inet:") && !str_is(kind, "unix:")) || colon <= 5 || !name[colon + 1])
		return err_set(err, "%s: inet:host:port:name or unix:pathname:name is wanted", t->spec);
	map = x_alloc(sizeof(*map));
	map->name = x_strdup(name + colon + 1);
	endpoint = x_strndup(name, (size_t)colon);
	map->pool = database_pool_open(&socketmap_driver, map, endpoint);
	x_free(&endpoint);
	t->state = map;
	return true;
}

static void socketmap_close(struct table *t)
{
	struct socketmap *map = t->state;

	if (!map)
		return;
	database_pool_close(&map->pool);
	x_free(&map->name);
	x_free(&t->state);
}

static enum table_status socketmap_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	struct socketmap *map = t->state;
	struct server_question q;

	if (key.n > TABLE_KEY_MAX)
		return TABLE_NOT_FOUND;
	server_question_init(&q, value);
	return server_table_ask(map->pool, key, &q, err);
}

/* pattern: only whole addresses and names are asked, as they are. */
const struct table_type table_type_socketmap = {.name = "socketmap",
	.remote = true,
	.unauthenticated = true,
	.pattern = true,
	.open = socketmap_open,
	.close = socketmap_close,
	.lookup = socketmap_lookup};
