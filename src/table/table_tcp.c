/* tcp:host:port, tcp_table(5): "get key", answered by a line with a status and a text, both with %XX. */
#include "base/mem.h"
#include "table/server_table.h"
#include "table/table_type.h"

#define TCP_SECONDS 100
#define TCP_LINE_MAX 4096 /* bytes of an answer, with the newline */

static void encode(struct str text, struct buf *out)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c > ' ' && c < 127 && c != '%')
			buf_putc(out, (char)c);
		else
			buf_printf(out, "%%%02x", c);
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool decode(struct str text, struct buf *out)
{
	for (size_t i = 0; i < text.n; i++) {
		int high, low;

		if (text.p[i] != '%') {
			buf_putc(out, text.p[i]);
			continue;
		}
		high = i + 2 < text.n ? hex_digit(text.p[i + 1]) : -1;
		low = high >= 0 ? hex_digit(text.p[i + 2]) : -1;
		if (low < 0)
			return false;
		buf_putc(out, (char)(high * 16 + low));
		i += 2;
	}
	return true;
}

static enum database_status give(
	char status, struct str text, struct database_answer *answer, struct err *err)
{
	struct buf plain = BUF(TCP_LINE_MAX);
	enum database_status result = DATABASE_DONE;

	if (!decode(text, &plain))
		result = server_table_confused(err, "% without two hexadecimal digits");
	else if (status == '2')
		answer->value(answer, buf_slice(&plain));
	else if (status == '4') {
		err_set(err, "the server says: %s", buf_cstr(&plain));
		result = DATABASE_FAILED;
	}
	buf_free(&plain);
	return result;
}

/* The first digit of the three decides, as in all such protocols. */
static enum database_status take_answer(struct str line, struct database_answer *answer, struct err *err)
{
	if (line.n < 4 || (line.p[3] != ' ' && line.p[3] != '\t') || !str_all_digits(str_first(line, 3)) ||
		(line.p[0] != '2' && line.p[0] != '4' && line.p[0] != '5'))
		return server_table_confused(err, "neither 200, 400 nor 500 and a text");
	return give(line.p[0], str_from(line, 4), answer, err);
}

static enum database_status tcp_ask(
	void *connection, struct str key, struct database_answer *answer, struct err *err)
{
	struct stream *s = connection;
	struct buf request = BUF(3 * TABLE_KEY_MAX + 10);
	enum stream_status status;
	enum line_end end;
	struct str line;

	buf_puts(&request, "get ");
	encode(key, &request);
	buf_putc(&request, '\n');
	stream_start_request(s);
	stream_write(s, buf_cstr(&request), request.len);
	buf_free(&request);
	status = stream_line(s, TCP_LINE_MAX, &line, &end);
	if (status != STREAM_OK)
		return server_table_lost(s, err);
	if (end == LINE_PARTIAL)
		return server_table_confused(err, "longer than 4096 bytes");
	return take_answer(line, answer, err);
}

static void *tcp_connect(void *state, const char *host, struct err *err)
{
	return server_table_connect(host, TCP_SECONDS, err);
}

static void tcp_disconnect(void *connection)
{
	stream_free((struct stream **)&connection);
}

static const struct database_driver tcp_driver = {
	.connect = tcp_connect, .disconnect = tcp_disconnect, .ask = tcp_ask};

static bool tcp_open(struct table *t, const char *name, struct err *err)
{
	char *endpoint = x_asprintf("inet:%s", name);

	t->state = database_pool_open(&tcp_driver, NULL, endpoint);
	x_free(&endpoint);
	return true;
}

static void tcp_close(struct table *t)
{
	database_pool_close((struct database_pool **)&t->state);
}

static enum table_status tcp_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	struct server_question q;

	if (key.n > TABLE_KEY_MAX)
		return TABLE_NOT_FOUND;
	server_question_init(&q, value);
	return server_table_ask(t->state, key, &q, err);
}

/* pattern: only whole addresses and names are asked, as they are. */
const struct table_type table_type_tcp = {.name = "tcp",
	.remote = true,
	.unauthenticated = true,
	.pattern = true,
	.open = tcp_open,
	.close = tcp_close,
	.lookup = tcp_lookup};
