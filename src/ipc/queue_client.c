/* The asking side of public/qmgr: questions with an answer, and the notifier of processes that bring mail. */
#include "base/clock.h"
#include "base/net.h"
#include "base/stream.h"
#include "base/sys.h"
#include "ipc/queue.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ASK_AGAIN 20
#define ASK_PAUSE_MS 100

#define SOCKET_PATH "public/%s" /* relative to the queue directory, in jails too */

struct asking {
	struct stream *stream;
	struct buf frame; /* one frame of the answer */
	queue_listed_fn listed;
	void *arg;
	bool answered; /* something came */
	bool dropped;  /* the connection ended before anything came */
};

/* 1: the end; 0: more follows; -1: failure. */
static int take_frame(struct asking *a, struct pool *pool, struct err *err)
{
	struct queue_request done;
	struct queue_listed listed;
	struct cursor fields;
	uint16_t type;
	size_t used;

	if (frame_parse(buf_slice(&a->frame), &type, &fields, &used) != 1) {
		err_set(err, "broken answer from the queue manager");
		return -1;
	}
	if (type == FRAME_LISTED && queue_listed_decode(fields, pool, &listed)) {
		if (a->listed)
			a->listed(a->arg, &listed);
		return 0;
	}
	if (type != FRAME_DONE || !queue_request_decode(type, fields, pool, &done)) {
		err_set(err, "broken answer from the queue manager");
		return -1;
	}
	if (done.text && done.text[0]) {
		err_set(err, "%s", done.text);
		return -1;
	}
	return 1;
}

/* The length, then as much as it says. */
static bool read_frame(struct asking *a, struct err *err)
{
	unsigned char prefix[4];
	struct cursor c = cursor_of(prefix, sizeof(prefix));
	uint32_t length;
	char *room;

	buf_clear(&a->frame);
	if (stream_read_exact(a->stream, prefix, sizeof(prefix)) != STREAM_OK)
		return err_set(err, "no answer from the queue manager");
	a->answered = true;
	cursor_u32(&c, &length);
	buf_add(&a->frame, prefix, sizeof(prefix));
	room = length <= FRAME_MAX ? buf_reserve(&a->frame, length) : NULL;
	if (!room)
		return err_set(err, "broken answer from the queue manager");
	if (stream_read_exact(a->stream, room, length) != STREAM_OK)
		return err_set(err, "the queue manager's answer ended too soon");
	buf_added(&a->frame, length);
	return true;
}

static bool read_answer(struct asking *a, struct err *err)
{
	int more = 0;

	while (more == 0) {
		struct pool *pool = pool_new(4096);

		more = read_frame(a, err) ? take_frame(a, pool, err) : -1;
		pool_free(&pool);
	}
	return more == 1;
}

static bool ask_once(struct asking *a, const char *socket_path, const struct queue_request *r, int seconds,
	struct err *err)
{
	int fd = net_connect_unix(socket_path, deadline_in(seconds), err);
	bool ok;

	if (fd < 0)
		return false;
	a->stream = stream_new(fd);
	stream_set_timeout(a->stream, seconds, false);
	buf_clear(&a->frame);
	queue_request_encode(&a->frame, r);
	ok = stream_write(a->stream, a->frame.data, a->frame.len) && stream_flush(a->stream);
	if (!ok)
		err_set(err, "cannot write to the queue manager");
	ok = ok && read_answer(a, err);
	a->dropped = !ok && !a->answered && stream_status(a->stream) != STREAM_TIMEOUT;
	stream_free(&a->stream);
	return ok;
}

/* A queue manager that a reload is replacing drops what it has not read; the next one answers. No request
 * does harm twice. */
bool queue_ask(const char *service, const struct queue_request *r, int seconds, queue_listed_fn listed,
	void *arg, struct err *err)
{
	struct asking a = {.frame = BUF(FRAME_MAX + 4), .listed = listed, .arg = arg};
	char *path = x_asprintf(SOCKET_PATH, service);
	bool ok = ask_once(&a, path, r, seconds, err);

	for (int i = 0; i < ASK_AGAIN && !ok && a.dropped; i++) {
		net_wait(-1, 0, clock_mono() + ASK_PAUSE_MS * NS_PER_MS);
		ok = ask_once(&a, path, r, seconds, err);
	}
	x_free(&path);
	buf_free(&a.frame);
	return ok;
}

#define PATIENCE_NS (200 * NS_PER_MS)

/* ---- the notifier */
struct queue_notifier {
	pthread_mutex_t lock; /* guards fd */
	int fd;
	struct sockaddr_un address;
};

struct queue_notifier *queue_notifier_new(const char *service)
{
	struct queue_notifier *n = x_alloc(sizeof(*n));

	/* a path that is cut: nothing is ever reached, and the scan finds the mail */
	n->fd = -1;
	n->address.sun_family = AF_UNIX;
	snprintf(n->address.sun_path, sizeof(n->address.sun_path), SOCKET_PATH, service);
	pthread_mutex_init(&n->lock, NULL);
	return n;
}

void queue_notifier_free(struct queue_notifier **n)
{
	if (!*n)
		return;
	sys_close(&(*n)->fd);
	pthread_mutex_destroy(&(*n)->lock);
	x_free(n);
}

static bool reconnect(struct queue_notifier *n)
{
	sys_close(&n->fd);
	n->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (n->fd >= 0 && connect(n->fd, (struct sockaddr *)&n->address, sizeof(n->address)) == 0)
		return true;
	sys_close(&n->fd);
	return false;
}

/*
 * A frame is sent whole or its connection is given up, so that the reader never sees half of one. A queue
 * manager that does not keep up slows those who bring mail down a little; a notification that is lost would
 * leave its message waiting for the next scan.
 */
static bool send_whole(struct queue_notifier *n, const struct buf *frame)
{
	ssize_t sent = send(n->fd, frame->data, frame->len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent < 0 && errno == EAGAIN && net_wait(n->fd, POLLOUT, clock_mono() + PATIENCE_NS) == 1)
		sent = send(n->fd, frame->data, frame->len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent == (ssize_t)frame->len)
		return true;
	sys_close(&n->fd);
	return false;
}

void queue_notifier_send(struct queue_notifier *n, const struct queue_request *r)
{
	struct buf frame = BUF(1024);

	queue_request_encode(&frame, r);
	pthread_mutex_lock(&n->lock);
	if (n->fd < 0 || !send_whole(n, &frame))
		if (reconnect(n))
			send_whole(n, &frame);
	pthread_mutex_unlock(&n->lock);
	buf_free(&frame);
}

void queue_notify(struct queue_notifier *n, enum spool_queue q, const struct queue_id *id)
{
	const struct queue_request r = {.type = FRAME_NEW_MAIL, .id = *id, .queue = q};

	queue_notifier_send(n, &r);
}
