#include "table/server_table.h"

#include <errno.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/net.h"

static void begin(struct database_answer *answer)
{
	struct server_question *q = (struct server_question *)answer;

	buf_truncate(q->value, q->start);
	q->found = false;
}

static bool take(struct database_answer *answer, struct str value)
{
	struct server_question *q = (struct server_question *)answer;

	q->found = true;
	return buf_str(q->value, str_until(value, '\0'));
}

void server_question_init(struct server_question *q, struct buf *value)
{
	*q = (struct server_question){.answer = {take}, .value = value, .start = value->len};
}

enum table_status server_table_ask(
	struct database_pool *pool, struct str key, struct server_question *q, struct err *err)
{
	if (database_pool_ask(pool, key, &q->answer, begin, err) != DATABASE_DONE) {
		begin(&q->answer);
		return TABLE_RETRY;
	}
	return q->found ? TABLE_FOUND : TABLE_NOT_FOUND;
}

struct stream *server_table_connect(const char *endpoint, int seconds, struct err *err)
{
	int fd = net_connect_endpoint(endpoint, deadline_in(seconds), err);
	struct stream *s;

	if (fd < 0)
		return NULL;
	s = stream_new(fd);
	stream_set_timeout(s, seconds, true);
	return s;
}

enum database_status server_table_lost(struct stream *s, struct err *err)
{
	switch (stream_status(s)) {
	case STREAM_TIMEOUT:
		err_set(err, "the server does not answer in time");
		break;
	case STREAM_ERROR:
		errno = stream_errno(s);
		err_errno(err, "connection to the server");
		break;
	default:
		err_set(err, "the server closed the connection");
	}
	return DATABASE_LOST;
}

enum database_status server_table_confused(struct err *err, const char *what)
{
	err_set(err, "bad answer of the server: %s", what);
	return DATABASE_LOST;
}
