#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/net.h"
#include "base/sys.h"
#include "ipc/queue.h"
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct queue_id id = {"6420000000001"};

#define SERVICE "manager"
#define SOCKET "public/" SERVICE

/* A queue directory with nothing but a place for the socket. */
static int enter_directory(void **state)
{
	char *path = x_asprintf("/tmp/queue_test.%d", (int)getpid());

	*state = path;
	return mkdir(path, 0700) < 0 || chdir(path) < 0 || mkdir("public", 0700) < 0;
}

static int leave_directory(void **state)
{
	char *path = *state;

	rmdir("public");
	rmdir(path);
	x_free(&path);
	return 0;
}

/* Reads what one connection sends until it has a frame; answers with the bytes. */
static void serve_one(
	int listener, struct queue_request *got, struct pool *pool, const struct buf *answer, int *kept)
{
	char bytes[1000];
	struct cursor fields;
	uint16_t type;
	size_t used;
	struct pollfd p = {listener, POLLIN, 0};
	int fd;
	ssize_t n;

	assert_int_equal(poll(&p, 1, 5000), 1);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	n = read(fd, bytes, sizeof(bytes));
	assert_true(n > 0);
	assert_int_equal(frame_parse((struct str){bytes, (size_t)n}, &type, &fields, &used), 1);
	assert_true(queue_request_decode(type, fields, pool, got));
	if (answer)
		assert_int_equal(write(fd, answer->data, answer->len), answer->len);
	if (kept)
		*kept = fd;
	else
		close(fd);
}

static void test_notifier(void **state)
{
	struct pool *pool = pool_new(256);
	struct queue_notifier *n = queue_notifier_new(SERVICE);
	struct queue_request got;
	int listener;

	queue_notify(n, QUEUE_INCOMING, &id); /* nobody there: no harm */
	listener = net_listen_unix(SOCKET, 0600, 5, NULL);
	assert_true(listener >= 0);
	for (int i = 0; i < 3; i++) { /* the connection is made again each time */
		queue_notify(n, QUEUE_HOLD, &id);
		serve_one(listener, &got, pool, NULL, NULL);
		assert_int_equal(got.type, FRAME_NEW_MAIL);
		assert_string_equal(got.id.text, id.text);
		assert_int_equal(got.queue, QUEUE_HOLD);
	}
	queue_notifier_free(&n);
	close(listener);
	unlink(SOCKET);
	pool_free(&pool);
}

struct server {
	int listener;
	struct buf answer;
	struct queue_request got;
	struct pool *pool;
};

static void *serve(void *arg)
{
	struct server *s = arg;

	serve_one(s->listener, &s->got, s->pool, &s->answer, NULL);
	return NULL;
}

static void collect(void *arg, const struct queue_listed *l)
{
	int *seen = arg;

	assert_string_equal(l->sender, "s@example.org");
	assert_int_equal(l->queue, QUEUE_ACTIVE);
	assert_int_equal(l->size, 77);
	assert_int_equal(l->recipient_count, 2);
	assert_null(l->recipients[0].reason);
	assert_true(l->recipients[1].failed);
	++*seen;
}

static void add_listed(struct buf *out)
{
	struct queue_listed_recipient recipients[] = {
		{"a@example.com", NULL, false}, {"b@example.com", "unknown", true}};
	struct queue_listed l = {.id = id,
		.queue = QUEUE_ACTIVE,
		.arrival_us = 5,
		.size = 77,
		.sender = "s@example.org",
		.recipients = recipients,
		.recipient_count = 2};

	queue_listed_encode(out, &l);
}

static bool ask(struct server *s, const char *error, int messages, int *seen, struct err *err)
{
	struct queue_request list = {.type = FRAME_LIST}, done = {.type = FRAME_DONE, .text = error};
	pthread_t thread;
	bool ok;

	s->listener = net_listen_unix(SOCKET, 0600, 5, NULL);
	buf_init(&s->answer, FRAME_MAX);
	s->pool = pool_new(256);
	for (int i = 0; i < messages; i++)
		add_listed(&s->answer);
	if (error)
		queue_request_encode(&s->answer, &done);
	pthread_create(&thread, NULL, serve, s);
	ok = queue_ask(SERVICE, &list, 5, collect, seen, err);
	pthread_join(thread, NULL);
	assert_int_equal(s->got.type, FRAME_LIST);
	close(s->listener);
	unlink(SOCKET);
	buf_free(&s->answer);
	pool_free(&s->pool);
	return ok;
}

static void test_list(void **state)
{
	struct server s = {0};
	struct err err = {""};
	int seen = 0;

	assert_true(ask(&s, "", 3, &seen, &err));
	assert_int_equal(seen, 3);
	assert_false(ask(&s, "not allowed", 0, &seen, &err));
	assert_string_equal(err.text, "not allowed");
	assert_false(ask(&s, NULL, 1, &seen, &err));
	assert_int_equal(seen, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_notifier),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
