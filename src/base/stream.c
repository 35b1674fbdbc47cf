#include "base/stream.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/net.h"
#include "base/sys.h"
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_FIRST 4096
#define BUFFER_MOST 65536

/* Bytes in use are data[start..end). */
struct area {
	char *data;
	size_t start, end, cap;
};

struct stream {
	int fd;
	bool no_socket; /* send() does not work on it */
	const struct stream_layer *layer;
	void *ctx;
	struct area in, out;
	size_t scanned; /* bytes from in.start that hold no LF */
	enum stream_status in_status, out_status;
	int error;
	int timeout;	     /* seconds */
	int receive_timeout; /* milliseconds, as the socket was told; 0: not yet, or a layer reads */
	bool whole_request;
	int64_t budget; /* whole_request: nanoseconds that may still be spent waiting */
	size_t min_rate;
};

struct stream *stream_new(int fd)
{
	struct stream *s = x_alloc(sizeof(*s));

	s->fd = fd;
	return s;
}

void stream_free(struct stream **s)
{
	if (!*s)
		return;
	if ((*s)->layer && (*s)->layer->close)
		(*s)->layer->close((*s)->ctx);
	sys_close(&(*s)->fd);
	x_free(&(*s)->in.data);
	x_free(&(*s)->out.data);
	x_free(s);
}

int stream_fd(const struct stream *s)
{
	return s->fd;
}

void stream_set_layer(struct stream *s, const struct stream_layer *layer, void *ctx)
{
	s->layer = layer;
	s->ctx = ctx;
	s->receive_timeout = 0;
}

/* What is no socket takes no flags: it is the descriptor itself that must not wait. */
static void found_no_socket(struct stream *s)
{
	s->no_socket = true;
	net_nonblock(s->fd, true);
}

void *stream_layer_ctx(const struct stream *s)
{
	return s->layer ? s->ctx : NULL;
}

static int64_t full_budget(const struct stream *s)
{
	return s->timeout > 0 ? s->timeout * NS_PER_SEC : INT64_MAX;
}

void stream_set_timeout(struct stream *s, int seconds, bool whole_request)
{
	s->timeout = seconds;
	s->whole_request = whole_request;
	s->budget = full_budget(s);
}

static bool set_receive_timeout(struct stream *s, int ms)
{
	struct timeval tv = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};

	if (s->layer || s->no_socket)
		return false;
	if (s->receive_timeout != ms && setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0)
		s->receive_timeout = ms;
	return s->receive_timeout == ms;
}

void stream_start_request(struct stream *s)
{
	s->budget = full_budget(s);
}

int64_t stream_deadline(const struct stream *s)
{
	if (!s->whole_request)
		return deadline_in(s->timeout);
	return s->budget == INT64_MAX ? INT64_MAX : clock_mono() + s->budget;
}

void stream_set_patience(struct stream *s, int ms)
{
	if (!net_nonblock(s->fd, false) || !set_receive_timeout(s, ms))
		net_nonblock(s->fd, true);
}

void stream_set_min_rate(struct stream *s, size_t bytes_per_second)
{
	s->min_rate = bytes_per_second;
}

enum stream_status stream_status(const struct stream *s)
{
	return s->in_status != STREAM_OK ? s->in_status : s->out_status;
}

int stream_errno(const struct stream *s)
{
	return s->error;
}

static enum stream_status fail_in(struct stream *s, enum stream_status status, int error)
{
	s->in_status = status;
	s->error = error;
	if (status == STREAM_ERROR)
		s->out_status = status;
	return status;
}

static bool fail_out(struct stream *s, enum stream_status status, int error)
{
	s->out_status = status;
	s->error = error;
	s->out.start = s->out.end = 0;
	return false;
}

/* Only time spent waiting counts, so that our own work is not charged to the peer. */
static void spend(struct stream *s, int64_t begin)
{
	if (!s->whole_request || s->budget == INT64_MAX)
		return;
	s->budget -= clock_mono() - begin;
	if (s->budget < 0)
		s->budget = 0;
}

static int wait_for(struct stream *s, short events)
{
	int64_t begin = clock_mono();
	int ready = net_wait(s->fd, events, stream_deadline(s));

	spend(s, begin);
	return ready;
}

static void account_moved(struct stream *s, size_t n)
{
	int64_t full = full_budget(s), gain;

	if (!s->whole_request || s->min_rate == 0 || full == INT64_MAX)
		return;
	gain = (int64_t)(n / s->min_rate) * NS_PER_SEC +
	       (int64_t)(n % s->min_rate) * NS_PER_SEC / (int64_t)s->min_rate;
	s->budget = gain > full - s->budget ? full : s->budget + gain;
}

static void area_resize(struct area *a, size_t cap)
{
	a->data = x_realloc(a->data, cap);
	a->cap = cap;
}

static void area_to_front(struct area *a)
{
	if (a->start == 0)
		return;
	memmove(a->data, a->data + a->start, a->end - a->start);
	a->end -= a->start;
	a->start = 0;
}

/* ---- writing */

static ssize_t write_some(struct stream *s, const char *p, size_t n, short *events)
{
	ssize_t done;

	*events = POLLOUT;
	if (s->layer)
		return s->layer->write(s->ctx, p, n, events);
	if (!s->no_socket) {
		done = send(s->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (done >= 0 || errno != ENOTSOCK)
			return done;
		found_no_socket(s);
	}
	return write(s->fd, p, n);
}

static bool write_all(struct stream *s, const char *p, size_t n)
{
	while (n > 0) {
		short events;
		ssize_t done = write_some(s, p, n, &events);
		int ready;

		if (done > 0) {
			account_moved(s, (size_t)done);
			p += done;
			n -= (size_t)done;
			continue;
		}
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && errno != EAGAIN)
			return fail_out(s, STREAM_ERROR, errno);
		ready = wait_for(s, events);
		if (ready <= 0)
			return fail_out(s, ready ? STREAM_ERROR : STREAM_TIMEOUT, ready ? errno : ETIMEDOUT);
	}
	return true;
}

bool stream_flush(struct stream *s)
{
	size_t n = s->out.end;

	if (s->out_status != STREAM_OK)
		return false;
	s->out.end = 0;
	return n == 0 || write_all(s, s->out.data, n);
}

/* Room for n bytes at the end of the output buffer, or NULL: n is more than a buffer holds, or the stream
 * failed. */
static char *out_room(struct stream *s, size_t n)
{
	size_t cap = s->out.cap ? s->out.cap : BUFFER_FIRST;

	if (s->out.end + n > BUFFER_MOST && !stream_flush(s))
		return NULL;
	if (n > BUFFER_MOST)
		return NULL;
	while (cap < s->out.end + n)
		cap *= 2;
	if (cap > s->out.cap)
		area_resize(&s->out, cap);
	return s->out.data + s->out.end;
}

bool stream_write(struct stream *s, const void *data, size_t n)
{
	char *room;

	if (s->out_status != STREAM_OK)
		return false;
	room = out_room(s, n);
	if (!room)
		return s->out_status == STREAM_OK && write_all(s, data, n);
	if (n)
		memcpy(room, data, n);
	s->out.end += n;
	return true;
}

bool stream_puts(struct stream *s, const char *text)
{
	return stream_write(s, text, strlen(text));
}

static bool __attribute__((format(printf, 2, 0)))
stream_vprintf(struct stream *s, const char *fmt, va_list ap)
{
	char *text;
	int n = vasprintf(&text, fmt, ap);
	bool ok;

	if (n < 0)
		return fail_out(s, STREAM_ERROR, errno);
	ok = stream_write(s, text, (size_t)n);
	x_free(&text);
	return ok;
}

bool stream_printf(struct stream *s, const char *fmt, ...)
{
	va_list ap;
	bool ok;

	va_start(ap, fmt);
	ok = stream_vprintf(s, fmt, ap);
	va_end(ap);
	return ok;
}

/* ---- reading */

/* A socket that waits by itself, up to its receive timeout, saves the questions before and after. */
static ssize_t read_some(struct stream *s, char *p, size_t n, bool patient, short *events)
{
	ssize_t done;

	*events = POLLIN;
	if (s->layer)
		return s->layer->read(s->ctx, p, n, events);
	if (!s->no_socket) {
		done = recv(s->fd, p, n, patient ? 0 : MSG_DONTWAIT);
		if (done >= 0 || errno != ENOTSOCK)
			return done;
		found_no_socket(s);
	}
	return read(s->fd, p, n);
}

/* read_some that may wait as long as the socket was last told, when that is less than what is left. */
static ssize_t read_or_wait(struct stream *s, char *p, size_t n, short *events)
{
	bool patient = s->receive_timeout > 0 && clock_left_ms(stream_deadline(s)) > s->receive_timeout;
	int64_t begin;
	ssize_t done;

	if (!patient)
		return read_some(s, p, n, false, events);
	begin = clock_mono();
	done = read_some(s, p, n, true, events);
	spend(s, begin);
	return done;
}

/* Reads what is there, waiting for it. What we have to say goes out first, so that no two sides wait for each
 * other. */
static enum stream_status read_wait(struct stream *s, char *p, size_t n, size_t *got)
{
	if (!stream_flush(s))
		return s->out_status;
	for (;;) {
		short events;
		ssize_t done = read_or_wait(s, p, n, &events);
		int ready;

		if (done > 0) {
			account_moved(s, (size_t)done);
			*got = (size_t)done;
			return STREAM_OK;
		}
		if (done == 0)
			return fail_in(s, STREAM_EOF, 0);
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return fail_in(s, STREAM_ERROR, errno);
		ready = wait_for(s, events);
		if (ready <= 0)
			return fail_in(s, ready ? STREAM_ERROR : STREAM_TIMEOUT, ready ? errno : ETIMEDOUT);
	}
}

static size_t in_bytes(const struct stream *s)
{
	return s->in.end - s->in.start;
}

/* Room to read into: at least `wanted` bytes altogether with those already there. */
static void in_room(struct stream *s, size_t wanted)
{
	size_t cap = s->in.cap ? s->in.cap : BUFFER_FIRST;

	if (s->in.start == s->in.end)
		s->in.start = s->in.end = 0;
	while (cap < wanted)
		cap *= 2;
	if (s->in.cap - s->in.start < wanted || s->in.cap - s->in.end < cap / 4)
		area_to_front(&s->in);
	if (cap > s->in.cap)
		area_resize(&s->in, cap);
}

/* A read that fills the buffer means that much is coming: the next one gets more room. */
static enum stream_status fill(struct stream *s, size_t wanted)
{
	size_t room, got = 0;
	enum stream_status status;

	in_room(s, wanted);
	room = s->in.cap - s->in.end;
	status = read_wait(s, s->in.data + s->in.end, room, &got);
	s->in.end += got;
	if (got == room && s->in.cap < BUFFER_MOST)
		area_resize(&s->in, s->in.cap * 2);
	return status;
}

static enum stream_status take_line(
	struct stream *s, size_t n, size_t used, enum line_end kind, struct str *line, enum line_end *end)
{
	*line = (struct str){s->in.data + s->in.start, n};
	*end = kind;
	s->in.start += used;
	s->scanned = 0;
	return STREAM_OK;
}

/* Looks for a line in the buffer; false when more input is needed to tell. A line and its end take max + 2
 * bytes at most. */
static bool find_line(struct stream *s, size_t max, struct str *line, enum line_end *end)
{
	const char *p = s->in.data + s->in.start;
	size_t have = in_bytes(s), window = have > 2 && have - 2 > max ? max + 2 : have, n;
	const char *lf = window > s->scanned ? memchr(p + s->scanned, '\n', window - s->scanned) : NULL;

	if (lf) {
		bool crlf = lf > p && lf[-1] == '\r';

		n = (size_t)(lf - p) - crlf;
		if (n <= max) {
			take_line(s, n, n + crlf + 1, crlf ? LINE_CRLF : LINE_LF, line, end);
			return true;
		}
	}
	s->scanned = window;
	if (have <= max || (have - 1 == max && p[max] == '\r'))
		return false;
	take_line(s, max, max, LINE_PARTIAL, line, end);
	return true;
}

enum stream_status stream_line(struct stream *s, size_t max, struct str *line, enum line_end *end)
{
	enum stream_status status = stream_status(s);

	while (status == STREAM_OK) {
		if (in_bytes(s) && find_line(s, max, line, end))
			return STREAM_OK;
		status = fill(s, in_bytes(s) + 1);
	}
	return status;
}

static struct str take_bytes(struct stream *s, size_t max)
{
	struct str data = str_first((struct str){s->in.data + s->in.start, in_bytes(s)}, max);

	s->in.start += data.n;
	s->scanned = 0;
	return data;
}

enum stream_status stream_read(struct stream *s, size_t max, struct str *data)
{
	enum stream_status status = stream_status(s);

	if (status == STREAM_OK && in_bytes(s) == 0)
		status = fill(s, 1);
	if (status == STREAM_OK)
		*data = take_bytes(s, max);
	return status;
}

enum stream_status stream_read_exact(struct stream *s, void *data, size_t n)
{
	enum stream_status status = stream_status(s);
	char *p = data;

	while (status == STREAM_OK && n > 0) {
		size_t got = 0;

		if (in_bytes(s) == 0 && n >= BUFFER_FIRST) {
			status = read_wait(s, p, n, &got);
		} else if (in_bytes(s) == 0) {
			status = fill(s, 1);
		} else {
			struct str part = take_bytes(s, n);

			memcpy(p, part.p, part.n);
			got = part.n;
		}
		p += got;
		n -= got;
	}
	return status;
}

size_t stream_buffered(const struct stream *s)
{
	size_t pending = s->layer && s->layer->pending ? s->layer->pending(s->ctx) : 0;

	return in_bytes(s) + pending;
}

struct str stream_peek(const struct stream *s)
{
	if (in_bytes(s) == 0)
		return STR("");
	return (struct str){s->in.data + s->in.start, in_bytes(s)};
}

/* A readable descriptor under a layer may hold less than one record, or one that is not data: the layer has
 * to be asked. 1, or 0: nothing yet. */
static int try_read(struct stream *s, bool patient, short *events)
{
	ssize_t got;

	in_room(s, in_bytes(s) + 1);
	got = read_some(s, s->in.data + s->in.end, s->in.cap - s->in.end, patient, events);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got < 0)
		fail_in(s, STREAM_ERROR, errno);
	else if (got == 0)
		fail_in(s, STREAM_EOF, 0);
	else
		s->in.end += (size_t)got;
	return 1;
}

int stream_wait(struct stream *s, int ms)
{
	int64_t deadline = ms < 0 ? INT64_MAX : clock_mono() + ms * NS_PER_MS;
	short events = POLLIN;

	if (!stream_flush(s) || stream_status(s) != STREAM_OK || stream_buffered(s) > 0)
		return 1;
	for (;;) {
		int ready = net_wait(s->fd, events, deadline);

		if (ready < 0)
			fail_in(s, STREAM_ERROR, errno);
		if (ready <= 0)
			return ready != 0;
		if (!s->layer || try_read(s, false, &events))
			return 1;
	}
}

int stream_fill(struct stream *s, int ms)
{
	int64_t deadline = ms < 0 ? INT64_MAX : clock_mono() + ms * NS_PER_MS;
	bool patient = ms > 0 && set_receive_timeout(s, ms);
	short events = POLLIN;

	if (!stream_flush(s) || stream_status(s) != STREAM_OK)
		return 1;
	for (; !try_read(s, patient, &events); patient = false) {
		int ready = net_wait(s->fd, events, deadline);

		if (ready < 0)
			fail_in(s, STREAM_ERROR, errno);
		if (ready <= 0)
			return ready != 0;
	}
	return 1;
}

static void area_relax(struct area *a)
{
	size_t n = a->end - a->start;

	if (n == 0) {
		x_free(&a->data);
		*a = (struct area){0};
	} else if (a->cap > BUFFER_FIRST && n <= BUFFER_FIRST) {
		area_to_front(a);
		area_resize(a, BUFFER_FIRST);
	}
}

void stream_relax(struct stream *s)
{
	area_relax(&s->in);
	area_relax(&s->out);
}
