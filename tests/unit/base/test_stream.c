#include "base/clock.h"
#include "base/mem.h"
#include "base/net.h"
#include "base/stream.h"
#include "base/sys.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

/* A stream and the descriptor of its peer. */
static struct stream *make(int *peer)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*peer = pair[1];
	return stream_new(pair[0]);
}

static void say(int peer, const char *text, size_t n)
{
	assert_true(sys_write_all(peer, text, n));
}

struct expected_line {
	const char *text;
	enum line_end end;
};

/* A layer that reads from memory, so many bytes a time: every boundary is met. */
struct script {
	struct str rest;
	size_t step;
};

static ssize_t script_read(void *ctx, void *data, size_t n, short *events)
{
	struct script *script = ctx;
	struct str piece = str_first(script->rest, n < script->step ? n : script->step);

	if (piece.n)
		memcpy(data, piece.p, piece.n);
	script->rest = str_from(script->rest, piece.n);
	return (ssize_t)piece.n;
}

static const struct stream_layer script_layer = {.read = script_read};

static void expect_lines(struct str input, size_t max, size_t step, const struct expected_line *lines)
{
	int peer;
	struct stream *s = make(&peer);
	struct script script = {input, step};
	struct str line;
	enum line_end end;

	stream_set_layer(s, &script_layer, &script);
	for (; lines->text; lines++) {
		assert_int_equal(stream_line(s, max, &line, &end), STREAM_OK);
		assert_true(str_is(line, lines->text));
		assert_int_equal(end, lines->end);
	}
	assert_int_equal(stream_line(s, max, &line, &end), STREAM_EOF);
	assert_int_equal(stream_status(s), STREAM_EOF);
	stream_free(&s);
	assert_null(s);
	close(peer);
}

static void test_line_ends(void **state)
{
#define INPUT "a\r\nb\nc\rd\r\n\r\n\n\r\r\nlost"
	static const struct expected_line lines[] = {{"a", LINE_CRLF}, {"b", LINE_LF}, {"c\rd", LINE_CRLF},
		{"", LINE_CRLF}, {"", LINE_LF}, {"\r", LINE_CRLF}, {NULL, 0}};

	for (size_t step = 1; step <= sizeof(INPUT); step++)
		expect_lines(STR(INPUT), 100, step, lines);
}

static void test_partial_lines(void **state)
{
#undef INPUT
#define INPUT "1234\r\n12345\r\n12345\n123456\r\n12345\rx\n1234567890\n"
	static const struct expected_line lines[] = {{"1234", LINE_CRLF}, {"12345", LINE_CRLF},
		{"12345", LINE_LF}, {"12345", LINE_PARTIAL}, {"6", LINE_CRLF}, {"12345", LINE_PARTIAL},
		{"\rx", LINE_LF}, {"12345", LINE_PARTIAL}, {"67890", LINE_LF}, {NULL, 0}};

	for (size_t step = 1; step <= sizeof(INPUT); step++)
		expect_lines(STR(INPUT), 5, step, lines);
}

static void *write_much(void *arg)
{
	int fd = *(int *)arg;
	char line[1000];

	memset(line, 'x', sizeof(line));
	line[998] = '\r';
	line[999] = '\n';
	for (int i = 0; i < 2000; i++)
		assert_true(sys_write_all(fd, line, sizeof(line)));
	assert_true(sys_write_all(fd, line, 998));
	for (int i = 0; i < 200; i++)
		assert_true(sys_write_all(fd, line, 998));
	assert_true(sys_write_all(fd, "\n", 1));
	return NULL;
}

static void test_much_input(void **state)
{
	int peer;
	struct stream *s = make(&peer);
	struct str line;
	enum line_end end;
	pthread_t thread;

	pthread_create(&thread, NULL, write_much, &peer);
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(stream_line(s, 2048, &line, &end), STREAM_OK);
		assert_int_equal(line.n, 998);
		assert_int_equal(end, LINE_CRLF);
	}
	assert_int_equal(stream_line(s, 1 << 20, &line, &end), STREAM_OK);
	assert_int_equal(line.n, 201 * 998);
	pthread_join(thread, NULL);
	stream_free(&s);
	close(peer);
}

static void test_read(void **state)
{
	int peer;
	struct stream *s = make(&peer);
	struct str data;
	char exact[6000], big[5995];

	memset(big, 'b', sizeof(big));
	say(peer, "hello", 5);
	assert_int_equal(stream_read(s, 2, &data), STREAM_OK);
	assert_true(str_is(data, "he"));
	assert_int_equal(stream_buffered(s), 3);
	assert_true(str_is(stream_peek(s), "llo"));
	say(peer, "12", 2);
	say(peer, big, sizeof(big));
	assert_int_equal(stream_read_exact(s, exact, sizeof(exact)), STREAM_OK);
	assert_memory_equal(exact, "llo12bbb", 8);
	assert_int_equal(exact[5999], 'b');
	assert_int_equal(stream_buffered(s), 0);
	say(peer, "junk", 4);
	assert_int_equal(stream_wait(s, 1000), 1);
	assert_int_equal(stream_read(s, 1, &data), STREAM_OK);
	assert_int_equal(stream_read(s, 3, &data), STREAM_OK);
	assert_int_equal(stream_buffered(s), 0);
	assert_int_equal(stream_wait(s, 0), 0);
	close(peer);
	assert_int_equal(stream_wait(s, 1000), 1);
	assert_int_equal(stream_read_exact(s, exact, 1), STREAM_EOF);
	assert_int_equal(stream_read(s, 1, &data), STREAM_EOF);
	stream_free(&s);
}

static void test_output_is_one_write(void **state)
{
	int pair[2];
	char got[100];
	struct stream *s;
	struct str line;
	enum line_end end;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	s = stream_new(pair[0]);
	assert_true(stream_printf(s, "%d %s", 250, "OK"));
	assert_true(stream_puts(s, "\r\n"));
	assert_true(stream_write(s, "", 0));
	assert_true(stream_flush(s));
	assert_int_equal(read(pair[1], got, sizeof(got)), 8);
	assert_memory_equal(got, "250 OK\r\n", 8);
	/* Waiting for input sends what there is to say. */
	assert_true(stream_puts(s, "220 hi\r\n"));
	say(pair[1], "EHLO x\r\n", 8);
	assert_int_equal(stream_line(s, 100, &line, &end), STREAM_OK);
	assert_int_equal(read(pair[1], got, sizeof(got)), 8);
	stream_free(&s);
	close(pair[1]);
}

static void *read_slowly(void *arg)
{
	int fd = *(int *)arg;
	char piece[3000];
	size_t total = 0;
	ssize_t n;

	while ((n = read(fd, piece, sizeof(piece))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(piece[i], 'a' + (char)((total + (size_t)i) % 26));
		total += (size_t)n;
	}
	return (void *)total;
}

static void test_much_output(void **state)
{
	int peer;
	struct stream *s = make(&peer);
	size_t size = 3000000, at = 0;
	char *data = x_alloc(size);
	pthread_t thread;
	void *total;

	for (size_t i = 0; i < size; i++)
		data[i] = (char)('a' + i % 26);
	pthread_create(&thread, NULL, read_slowly, &peer);
	for (size_t n = 1; at < size; n = n * 3 % 200000 + 1) {
		if (n > size - at)
			n = size - at;
		assert_true(stream_write(s, data + at, n));
		at += n;
	}
	assert_true(stream_flush(s));
	stream_free(&s);
	pthread_join(thread, &total);
	assert_true((size_t)total == size);
	x_free(&data);
	close(peer);
}

static void test_timeout_is_sticky_but_a_last_word_goes_out(void **state)
{
	int peer;
	struct stream *s = make(&peer);
	struct str line;
	enum line_end end;
	int64_t begin = clock_mono();
	char got[10];

	stream_set_timeout(s, 1, false);
	assert_int_equal(stream_line(s, 100, &line, &end), STREAM_TIMEOUT);
	assert_true(clock_mono() - begin >= NS_PER_SEC);
	assert_int_equal(stream_errno(s), ETIMEDOUT);
	say(peer, "late\r\n", 6);
	assert_int_equal(stream_line(s, 100, &line, &end), STREAM_TIMEOUT);
	assert_true(stream_puts(s, "421 bye"));
	assert_true(stream_flush(s));
	assert_int_equal(read(peer, got, sizeof(got)), 7);
	stream_free(&s);
	close(peer);
}

static void test_write_timeout(void **state)
{
	int peer;
	struct stream *s = make(&peer);
	char *data = x_alloc(4 << 20);

	stream_set_timeout(s, 1, false);
	assert_false(stream_write(s, data, 4 << 20));
	assert_int_equal(stream_status(s), STREAM_TIMEOUT);
	assert_false(stream_puts(s, "x"));
	assert_false(stream_flush(s));
	x_free(&data);
	stream_free(&s);
	close(peer);
}

static void test_broken_connection(void **state)
{
	int peer;
	struct stream *s = make(&peer);
	struct str data;

	close(peer);
	assert_true(stream_puts(s, "x"));
	assert_false(stream_flush(s));
	assert_int_equal(stream_status(s), STREAM_ERROR);
	assert_int_equal(stream_errno(s), EPIPE);
	assert_int_equal(stream_read(s, 1, &data), STREAM_ERROR);
	assert_int_equal(stream_wait(s, 0), 1);
	stream_free(&s);
}

static void *drip(void *arg)
{
	int fd = *(int *)arg;

	for (int i = 0; i < 30; i++) {
		if (send(fd, "xxxxxxxxxx", 10, MSG_NOSIGNAL) < 0)
			break;
		usleep(100000);
	}
	return NULL;
}

static enum stream_status read_drips(size_t min_rate, int patience, size_t bytes, int64_t *took)
{
	int peer;
	struct stream *s = make(&peer);
	char data[1000];
	pthread_t thread;
	enum stream_status status;
	int64_t begin = clock_mono();

	stream_set_timeout(s, 1, true);
	stream_set_min_rate(s, min_rate);
	if (patience)
		stream_set_patience(s, patience);
	stream_start_request(s);
	pthread_create(&thread, NULL, drip, &peer);
	status = stream_read_exact(s, data, bytes);
	*took = clock_mono() - begin;
	stream_free(&s);
	pthread_join(thread, NULL);
	close(peer);
	return status;
}

static void test_whole_request_deadline(void **state)
{
	static const int patience[] = {0, 70, 3000};
	int64_t took;

	for (size_t i = 0; i < sizeof(patience) / sizeof(patience[0]); i++) {
		assert_int_equal(read_drips(0, patience[i], 300, &took), STREAM_TIMEOUT);
		assert_true(took >= NS_PER_SEC && took < 2 * NS_PER_SEC);
		/* 100 bytes a second come; 50 are enough, 1000 are not. */
		assert_int_equal(read_drips(50, patience[i], 200, &took), STREAM_OK);
		assert_int_equal(read_drips(1000, patience[i], 300, &took), STREAM_TIMEOUT);
		assert_true(took < 2 * NS_PER_SEC);
	}
}

/* Filling waits so long and no longer, whatever the descriptor is and whether it is blocking. */
static void check_fill(int fds[2], bool blocking)
{
	struct stream *s;
	int64_t begin;

	net_nonblock(fds[0], !blocking);
	s = stream_new(fds[0]);
	for (int i = 0; i < 2; i++) {
		begin = clock_mono();
		assert_int_equal(stream_fill(s, 50), 0);
		assert_true(clock_mono() - begin >= 50 * NS_PER_MS);
		begin = clock_mono();
		assert_int_equal(stream_fill(s, 0), 0);
		assert_true(clock_mono() - begin < 5 * NS_PER_SEC);
	}
	say(fds[1], "x\r\n", 3);
	assert_int_equal(stream_fill(s, 50), 1);
	assert_int_equal(stream_buffered(s), 3);
	close(fds[1]);
	assert_int_equal(stream_fill(s, 50), 1);
	assert_int_equal(stream_status(s), STREAM_EOF);
	stream_free(&s);
}

static void test_fill(void **state)
{
	for (int blocking = 0; blocking < 2; blocking++) {
		int fds[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
		check_fill(fds, blocking);
		assert_int_equal(pipe(fds), 0);
		check_fill(fds, blocking);
	}
}

static void test_relax_gives_memory_back(void **state)
{
	int peer;
	struct stream *s = make(&peer);
	struct str data;

	say(peer, "abc", 3);
	assert_int_equal(stream_read(s, 1, &data), STREAM_OK);
	assert_true(stream_puts(s, "unsent"));
	stream_relax(s);
	assert_true(str_is(stream_peek(s), "bc"));
	assert_int_equal(stream_read(s, 9, &data), STREAM_OK);
	assert_true(stream_flush(s));
	stream_relax(s);
	stream_relax(s);
	say(peer, "d", 1);
	assert_int_equal(stream_read(s, 9, &data), STREAM_OK);
	assert_true(str_is(data, "d"));
	stream_free(&s);
	close(peer);
}

/* A layer that passes bytes through with case swapped and answers every other call with "not now". */
struct swap {
	int fd;
	int calls;
	bool closed;
};

static void swap_case(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] ^= 0x20;
}

static ssize_t swap_read(void *ctx, void *data, size_t n, short *events)
{
	struct swap *l = ctx;
	ssize_t got;

	if (l->calls++ % 2 == 0) {
		*events = POLLOUT;
		errno = EAGAIN;
		return -1;
	}
	got = read(l->fd, data, n);
	if (got > 0)
		swap_case(data, (size_t)got);
	*events = POLLIN;
	return got;
}

static ssize_t swap_write(void *ctx, const void *data, size_t n, short *events)
{
	struct swap *l = ctx;
	char piece;

	if (l->calls++ % 2 == 0 || n == 0) {
		errno = EAGAIN;
		return -1;
	}
	piece = *(const char *)data ^ 0x20;
	return write(l->fd, &piece, 1);
}

static size_t swap_pending(void *ctx)
{
	return 0;
}

static void swap_close(void *ctx)
{
	((struct swap *)ctx)->closed = true;
}

static const struct stream_layer swap_layer = {swap_read, swap_write, swap_pending, swap_close};

static void test_layer(void **state)
{
	int peer;
	struct stream *s = make(&peer);
	struct swap l = {.fd = stream_fd(s)};
	struct str line;
	enum line_end end;
	char got[20];

	assert_null(stream_layer_ctx(s));
	stream_set_layer(s, &swap_layer, &l);
	assert_ptr_equal(stream_layer_ctx(s), &l);
	assert_int_equal(stream_wait(s, 10), 0);
	say(peer, "HELLO*", 6);
	assert_int_equal(stream_wait(s, 1000), 1);
	assert_int_equal(stream_buffered(s), 6);
	assert_int_equal(stream_line(s, 5, &line, &end), STREAM_OK);
	assert_true(str_is(line, "hello"));
	assert_true(stream_puts(s, "ABCDEFGH"));
	assert_true(stream_flush(s));
	assert_int_equal(read(peer, got, sizeof(got)), 8);
	assert_memory_equal(got, "abcdefgh", 8);
	close(peer);
	stream_free(&s);
	assert_true(l.closed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line_ends),
		cmocka_unit_test(test_partial_lines),
		cmocka_unit_test(test_much_input),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_output_is_one_write),
		cmocka_unit_test(test_much_output),
		cmocka_unit_test(test_timeout_is_sticky_but_a_last_word_goes_out),
		cmocka_unit_test(test_write_timeout),
		cmocka_unit_test(test_broken_connection),
		cmocka_unit_test(test_whole_request_deadline),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_relax_gives_memory_back),
		cmocka_unit_test(test_layer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
