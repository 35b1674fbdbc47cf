/* public/qmgr: notifications of new mail, and what commands ask for. */
#include <errno.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/net.h"
#include "base/sys.h"
#include "ipc/queue.h"
#include "qmgr/listing.h"
#include "qmgr/qmgr.h"

#define READ_SIZE 16384
#define READS_AT_ONCE 16
#define REQUEST_MAX 65536 /* bytes of one request */
#define ACCEPTS_AT_ONCE 64
#define CONTROLS_MAX 2000 /* connections at once: far more than processes that bring mail */

struct control {
	struct watch watch; /* first */
	struct qmgr *qmgr;
	struct list node; /* qmgr->controls or dead_controls */
	struct buf in;
};

static struct control *control_of(struct list *node)
{
	return container_of(node, struct control, node);
}

/* While there are as many connections as we take, others wait in the backlog: a listener that cannot be
 * served must not keep the loop awake. */
static void count_controls(struct qmgr *q, int change)
{
	bool full = q->control_count >= CONTROLS_MAX;

	q->control_count += change;
	if (full != (q->control_count >= CONTROLS_MAX) && q->listen_watch.fd >= 0)
		loop_rewatch(q, &q->listen_watch, full ? EPOLLIN : 0);
}

static void control_end(struct control *c)
{
	if (c->watch.fd >= 0)
		loop_unwatch(c->qmgr, &c->watch);
	count_controls(c->qmgr, -1);
	list_remove(&c->node);
	list_append(&c->qmgr->dead_controls, &c->node);
}

void control_reap(struct qmgr *q)
{
	struct list *node;

	while ((node = list_shift(&q->dead_controls)) != NULL) {
		struct control *c = control_of(node);

		buf_free(&c->in);
		x_free(&c);
	}
}

/* The answer is small: a peer whose socket has no room for it does not read, and is let go. */
static bool answer(struct control *c, const char *error)
{
	const struct queue_request done = {.type = FRAME_DONE, .text = error};
	struct buf frame = BUF(1024);
	bool ok;

	queue_request_encode(&frame, &done);
	ok = send(c->watch.fd, frame.data, frame.len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)frame.len;
	buf_free(&frame);
	return ok;
}

static bool list_queue(struct control *c)
{
	int fd = c->watch.fd;

	epoll_ctl(c->qmgr->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	c->watch.fd = -1;
	if (listing_start(c->qmgr, fd))
		return false; /* the connection is the listing's */
	c->watch.fd = fd;
	answer(c, "too many listings at once, try again later");
	return false;
}

static void new_mail(struct qmgr *q, const struct queue_request *r)
{
	if (r->queue == QUEUE_INCOMING)
		intake_new(q, &r->id);
	else if (r->queue == QUEUE_DEFERRED)
		intake_flush_id(q, &r->id);
}

/* false: the connection ends. */
static bool obey(struct control *c, const struct queue_request *r)
{
	struct qmgr *q = c->qmgr;
	bool has_id = r->id.text[0] != '\0';

	switch (r->type) {
	case FRAME_NEW_MAIL:
		if (has_id)
			new_mail(q, r);
		return has_id;
	case FRAME_FLUSH:
		intake_flush(q);
		return answer(c, NULL);
	case FRAME_FLUSH_ID:
		if (has_id)
			intake_flush_id(q, &r->id);
		return answer(c, has_id ? NULL : "queue id missing");
	case FRAME_FLUSH_SITE:
		if (r->text != NULL)
			intake_flush_site(q, r->text);
		return answer(c, r->text ? NULL : "site missing");
	case FRAME_FORGET:
		if (has_id)
			intake_forget(q, &r->id);
		return answer(c, has_id ? NULL : "queue id missing");
	case FRAME_SCAN:
		intake_scan(q);
		return answer(c, NULL);
	case FRAME_LIST:
		return list_queue(c);
	default:
		return false;
	}
}

static bool take_frame(void *control, uint16_t type, struct cursor fields)
{
	struct control *c = control;
	struct pool *pool = pool_new(512);
	struct queue_request r;
	bool ok = queue_request_decode(type, fields, pool, &r) && obey(c, &r);

	pool_free(&pool);
	return ok;
}

/* 1: more may be there; 0: nothing now; -1: the end. */
static int read_some(struct control *c)
{
	char *room = buf_reserve(&c->in, READ_SIZE);
	ssize_t n = room ? recv(c->watch.fd, room, READ_SIZE, MSG_DONTWAIT) : 0;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (n == 0)
		return -1;
	buf_added(&c->in, (size_t)n);
	return frame_take_all(&c->in, take_frame, c) ? 1 : -1;
}

static void control_ready(struct watch *watch, uint32_t events)
{
	struct control *c = (struct control *)watch;
	int more = watch->fd >= 0;

	for (int i = 0; i < READS_AT_ONCE && more == 1; i++)
		more = read_some(c);
	if (more < 0)
		control_end(c);
}

void control_close_all(struct qmgr *q)
{
	while (!list_empty(&q->controls))
		control_end(control_of(q->controls.next));
	control_reap(q);
}

/* Nothing more can be sent; what was sent, nobody would send again. */
static void hear_out(struct control *c)
{
	int more = shutdown(c->watch.fd, SHUT_RD) == 0;

	while (more == 1)
		more = read_some(c);
	control_end(c);
}

void control_hear_out(struct qmgr *q)
{
	while (!list_empty(&q->controls))
		hear_out(control_of(q->controls.next));
	control_reap(q);
}

static void control_new(struct qmgr *q, int fd)
{
	struct control *c = x_alloc(sizeof(*c));

	c->watch = (struct watch){fd, control_ready};
	c->qmgr = q;
	buf_init(&c->in, REQUEST_MAX + READ_SIZE);
	list_init(&c->node);
	list_append(&q->controls, &c->node);
	count_controls(q, 1);
	if (!loop_watch(q, &c->watch, EPOLLIN))
		control_end(c);
}

void control_accept(struct watch *watch, uint32_t events)
{
	struct qmgr *q = container_of(watch, struct qmgr, listen_watch);
	struct net_addr peer;
	int fd;

	for (int i = 0; i < ACCEPTS_AT_ONCE && q->control_count < CONTROLS_MAX &&
			(fd = net_accept(watch->fd, &peer)) >= 0;
		i++)
		control_new(q, fd);
}
