#include "qmgr/listing.h"

#include <pthread.h>

#include "base/stream.h"
#include "ipc/queue.h"

#define WRITE_SECONDS 60
#define FRAME_LIMIT ((size_t)256 << 20)

struct listing {
	struct qmgr *qmgr;
	struct spool *spool;
	struct stream *out;
	struct queue_id *active; /* sorted */
	size_t active_count;
};

static int compare_ids(const void *a, const void *b)
{
	return strcmp(((const struct queue_id *)a)->text, ((const struct queue_id *)b)->text);
}

static bool send_listed(struct listing *l, const struct queue_listed *listed)
{
	struct buf frame = BUF(FRAME_LIMIT);
	bool ok;

	queue_listed_encode(&frame, listed);
	ok = frame.over || frame.len > FRAME_MAX || stream_write(l->out, frame.data, frame.len);
	buf_free(&frame);
	return ok;
}

static bool found(void *arg, enum spool_queue queue, const struct queue_id *id)
{
	struct listing *l = arg;
	struct pool *pool = pool_new(2048);
	struct queue_listed listed = {.id = *id, .queue = queue};
	struct envelope *e;
	struct err err = {""};
	bool ok = true;

	if (l->active_count > 0 && bsearch(id, l->active, l->active_count, sizeof(*id), compare_ids) != NULL)
		listed.queue = QUEUE_ACTIVE;
	if (spool_load(l->spool, queue, id, pool, &e, &err) == SPOOL_OK) {
		queue_listed_fill(&listed, e, pool);
		ok = send_listed(l, &listed);
	}
	pool_free(&pool);
	return ok;
}

static void send_done(struct listing *l, const char *error)
{
	const struct queue_request done = {.type = FRAME_DONE, .text = error};
	struct buf frame = BUF(1024);

	queue_request_encode(&frame, &done);
	stream_write(l->out, frame.data, frame.len);
	stream_flush(l->out);
	buf_free(&frame);
}

static void list_queues(struct listing *l)
{
	static const enum spool_queue order[] = {
		QUEUE_MAILDROP, QUEUE_INCOMING, QUEUE_ACTIVE, QUEUE_DEFERRED, QUEUE_HOLD};
	struct err err = {""};

	qsort(l->active, l->active_count, sizeof(*l->active), compare_ids);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (stream_status(l->out) == STREAM_OK && !spool_scan(l->spool, order[i], found, l, &err))
			break;
	send_done(l, err.text);
}

static void *listing_main(void *arg)
{
	struct listing *l = arg;
	struct qmgr *q = l->qmgr;

	list_queues(l);
	stream_free(&l->out);
	x_free(&l->active);
	x_free(&l);
	atomic_fetch_sub(&q->listings, 1);
	return NULL;
}

static struct listing *listing_new(struct qmgr *q, int fd)
{
	struct listing *l = x_alloc(sizeof(*l));

	l->qmgr = q;
	l->spool = q->spool;
	l->active = x_alloc((q->active_count + known_foreign(&q->known) + 1) * sizeof(*l->active));
	list_each(node, &q->active) l->active[l->active_count++] =
		container_of(node, struct message, link)->id;
	list_each(node, &q->known.foreign) l->active[l->active_count++] =
		container_of(node, struct known_message, line)->id;
	l->out = stream_new(fd);
	stream_set_timeout(l->out, WRITE_SECONDS, false);
	return l;
}

bool listing_start(struct qmgr *q, int fd)
{
	struct listing *l;
	pthread_t id;

	if (atomic_load(&q->listings) >= LISTINGS_MAX)
		return false;
	l = listing_new(q, fd);
	atomic_fetch_add(&q->listings, 1);
	if (pthread_create(&id, NULL, listing_main, l) == 0) {
		pthread_detach(id);
		return true;
	}
	atomic_fetch_sub(&q->listings, 1);
	stream_free(&l->out);
	x_free(&l->active);
	x_free(&l);
	return true;
}
