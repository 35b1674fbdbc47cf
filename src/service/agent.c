#include "service/agent.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "service/agent_private.h"
#include "service/service_private.h"

#define READ_PIECE 65536
#define READ_ROUNDS 16	     /* pieces read before the waiter sees to others */
#define ANSWER_SECONDS 60    /* a queue manager that does not read for so long is lost */
#define REQUESTS_PER_SLOT 10 /* more unanswered ones than this is no queue manager */

/*
 * The connection to the queue manager. Freed, and its descriptor closed, with the last reference: the agent's
 * own and one of each delivery. `in` belongs to the waiter thread; write_lock keeps answers whole.
 */
struct agent_conn {
	int fd;
	_Atomic int refs;
	_Atomic bool dead;
	pthread_mutex_t write_lock;
	struct buf in;
};

struct agent {
	struct service *service;
	const struct agent_ops *ops;
	pthread_mutex_t lock;	 /* guards conn; never held while waiting */
	struct agent_conn *conn; /* NULL: none */
	_Atomic int outstanding;
	_Atomic int64_t last_work; /* clock_mono() */
};

/* What agent_main hands to service_main: its own calls around the program's. */
struct agent_service_ops {
	struct service_ops ops;
	const struct agent_ops *user;
};

static const struct agent_ops *user_ops(const struct service *s)
{
	return ((const struct agent_service_ops *)(const void *)s->ops)->user;
}

static void conn_release(struct agent_conn *conn)
{
	if (atomic_fetch_sub(&conn->refs, 1) != 1)
		return;
	sys_close(&conn->fd);
	buf_free(&conn->in);
	pthread_mutex_destroy(&conn->write_lock);
	x_free(&conn);
}

static bool conn_send_all(struct agent_conn *conn, struct str data)
{
	int64_t deadline = deadline_in(ANSWER_SECONDS);

	while (data.n > 0) {
		ssize_t n = send(conn->fd, data.p, data.n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0)
			data = str_from(data, (size_t)n);
		else if (errno != EINTR && errno != EAGAIN)
			return false;
		else if (errno == EAGAIN && net_wait(conn->fd, POLLOUT, deadline) != 1)
			return false;
	}
	return true;
}

static bool conn_write(struct agent_conn *conn, const struct buf *out)
{
	bool ok = false;

	pthread_mutex_lock(&conn->write_lock);
	if (!atomic_load(&conn->dead) && !out->over)
		ok = conn_send_all(conn, buf_slice(out));
	if (!ok) {
		atomic_store(&conn->dead, true);
		shutdown(conn->fd, SHUT_RDWR);
	}
	pthread_mutex_unlock(&conn->write_lock);
	return ok;
}

/* Takes the connection away from the agent: NULL when another thread was first. */
static struct agent_conn *agent_take_conn(struct agent *a)
{
	struct agent_conn *conn;

	pthread_mutex_lock(&a->lock);
	conn = a->conn;
	a->conn = NULL;
	pthread_mutex_unlock(&a->lock);
	return conn;
}

/* No more requests are read; answers still go out as long as the peer takes them. */
static void agent_hang_up(struct agent *a)
{
	struct agent_conn *conn = agent_take_conn(a);

	if (!conn)
		return;
	slots_unwatch(service_slots(a->service), conn->fd);
	conn_release(conn);
	atomic_store(&a->last_work, clock_mono());
	if (service_retiring(a->service))
		return;
	service_tell(CHANNEL_READY);
	service_resume(a->service, PAUSE_BUSY);
}

static void job_free(struct agent_job *job)
{
	struct agent *a = job->agent;

	conn_release(job->conn);
	pool_free(&job->pool);
	atomic_store(&a->last_work, clock_mono());
	atomic_fetch_sub(&a->outstanding, 1);
	service_session_end(a->service);
}

static void job_answer(struct agent_job *job)
{
	struct buf out = BUF(FRAME_MAX);

	delivery_result_encode(&out, &job->delivery.result);
	if (!conn_write(job->conn, &out) && !service_retiring(job->agent->service))
		log_warning("%s: the queue manager did not take the outcome", job->request->qid.text);
	buf_free(&out);
}

static void deliver(const struct agent *a, struct agent_delivery *d)
{
	if (!(d->request->flags & ENVELOPE_PROBE))
		a->ops->deliver(d);
	else if (a->ops->probe)
		a->ops->probe(d);
	else
		agent_outcome_rest(d,
			dsn_make(d->pool, DSN_DELIVERED, "2.0.0", "delivers by %s", a->ops->service.program),
			a->ops->service.program, false);
}

/* Once the system stops, deliveries that have not begun stay in the queue: no answer. */
static void job_run(struct task *task, struct slot *slot, enum task_wake why)
{
	struct agent_job *job = container_of(task, struct agent_job, task);
	struct agent *a = job->agent;

	if (!service_stopping(a->service)) {
		job->delivery.cache = slot_cache(slot);
		job->delivery.start_us = clock_real();
		deliver(a, &job->delivery);
		agent_outcome_missing(job);
		job_answer(job);
	}
	job_free(job);
}

static struct agent_job *job_new(
	struct agent *a, struct agent_conn *conn, struct pool *pool, struct delivery_request *request)
{
	struct agent_job *job = pool_alloc(pool, sizeof *job);

	atomic_fetch_add(&conn->refs, 1);
	atomic_fetch_add(&a->outstanding, 1);
	service_session_begin(a->service);
	job->task.run = job_run;
	job->agent = a;
	job->conn = conn;
	job->pool = pool;
	job->request = request;
	job->decided = pool_alloc(pool, request->recipient_count * sizeof *job->decided + 1);
	job->delivery = (struct agent_delivery){.service = a->service, .request = request, .pool = pool};
	job->delivery.result.id = request->id;
	job->delivery.result.outcomes =
		pool_alloc(pool, request->recipient_count * sizeof *job->delivery.result.outcomes + 1);
	return job;
}

static bool take_request(struct agent *a, struct agent_conn *conn, struct cursor fields)
{
	struct pool *pool = pool_new(4096);
	struct delivery_request *request = pool_alloc(pool, sizeof *request);
	int most = REQUESTS_PER_SLOT * service_slot_limit(a->service);

	if (atomic_load(&a->outstanding) >= most || !delivery_request_decode(fields, pool, request)) {
		pool_free(&pool);
		return false;
	}
	slots_submit(service_slots(a->service), &job_new(a, conn, pool, request)->task);
	return true;
}

struct arrival {
	struct agent *agent;
	struct agent_conn *conn;
};

static bool take_frame(void *arg, uint16_t type, struct cursor fields)
{
	const struct arrival *from = arg;

	return type != FRAME_DELIVER || take_request(from->agent, from->conn, fields);
}

enum read_result { READ_MORE, READ_LATER, READ_END };

static enum read_result read_piece(struct agent_conn *conn)
{
	char *room = buf_reserve(&conn->in, READ_PIECE);
	ssize_t n;

	if (!room)
		return READ_END;
	n = recv(conn->fd, room, READ_PIECE, MSG_DONTWAIT);
	if (n > 0) {
		buf_added(&conn->in, (size_t)n);
		return n == READ_PIECE ? READ_MORE : READ_LATER;
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? READ_LATER : READ_END;
}

/* On the waiter thread. The reference keeps the connection alive when the agent retires meanwhile. */
static struct agent_conn *agent_hold_conn(struct agent *a)
{
	struct agent_conn *conn;

	pthread_mutex_lock(&a->lock);
	conn = a->conn;
	if (conn)
		atomic_fetch_add(&conn->refs, 1);
	pthread_mutex_unlock(&a->lock);
	return conn;
}

static void request_ready(int fd, void *arg)
{
	struct agent *a = arg;
	struct agent_conn *conn = agent_hold_conn(a);
	enum read_result more = READ_MORE;
	struct arrival from = {a, conn};

	if (!conn)
		return;
	for (int i = 0; more == READ_MORE && i < READ_ROUNDS; i++) {
		more = read_piece(conn);
		if (!frame_take_all(&conn->in, take_frame, &from)) {
			log_warning("malformed request from the queue manager");
			more = READ_END;
		}
	}
	if (more == READ_END || atomic_load(&conn->dead))
		agent_hang_up(a);
	conn_release(conn);
}

static bool agent_hello(struct agent *a, struct agent_conn *conn)
{
	struct agent_hello hello = {(uint32_t)service_slot_limit(a->service), (uint32_t)getpid()};
	struct buf out = BUF(1024);
	bool ok;

	agent_hello_encode(&out, &hello);
	ok = conn_write(conn, &out);
	buf_free(&out);
	return ok;
}

static void agent_accepted(struct service *s, int fd, const struct net_addr *peer)
{
	struct agent *a = s->agent;
	struct agent_conn *conn = x_alloc(sizeof *conn);
	struct err err = {""};

	conn->fd = fd;
	conn->refs = 1;
	conn->in = BUF(FRAME_MAX + READ_PIECE + 64);
	pthread_mutex_init(&conn->write_lock, NULL);
	atomic_store(&a->last_work, clock_mono());
	service_tell(CHANNEL_TAKEN);
	service_pause(s, PAUSE_BUSY);
	pthread_mutex_lock(&a->lock);
	a->conn = conn;
	pthread_mutex_unlock(&a->lock);
	if (!agent_hello(a, conn) || !slots_watch(s->slots, fd, false, request_ready, a, &err)) {
		if (err.text[0])
			log_warning("queue manager: %s", err.text);
		agent_hang_up(a);
	} else if (service_retiring(s)) {
		agent_hang_up(a);
	}
}

/* An agent that nobody used for max_idle goes; what was not yet read from the connection returns to the
 * queue. */
static void agent_tick(struct service *s)
{
	struct agent *a = s->agent;
	int64_t idle = clock_mono() - atomic_load(&a->last_work);

	if (atomic_load(&a->outstanding) == 0 && idle > s->config->max_idle * NS_PER_SEC)
		service_leave(s);
	if (user_ops(s)->service.tick)
		user_ops(s)->service.tick(s);
}

static bool agent_start(struct service *s, struct err *err)
{
	struct agent *a = x_alloc(sizeof *a);

	a->service = s;
	a->ops = user_ops(s);
	pthread_mutex_init(&a->lock, NULL);
	atomic_store(&a->last_work, clock_mono());
	s->agent = a;
	return !a->ops->service.start || a->ops->service.start(s, err);
}

/*
 * The queue manager can send no more from here on, and sees so at once; what it has sent is still read by the
 * waiter, which hangs up at the end of it. Nothing that was taken is given back unanswered, and nothing is
 * delivered twice.
 */
static void agent_last_requests(struct agent *a)
{
	struct agent_conn *conn = agent_hold_conn(a);
	int64_t deadline = deadline_in(1);

	if (!conn)
		return;
	shutdown(conn->fd, SHUT_RD);
	conn_release(conn);
	for (; conn && clock_mono() < deadline; usleep(1000)) {
		conn = agent_hold_conn(a);
		if (conn)
			conn_release(conn);
	}
}

static void agent_retire(struct service *s)
{
	agent_last_requests(s->agent);
	agent_hang_up(s->agent);
	if (user_ops(s)->service.retire)
		user_ops(s)->service.retire(s);
}

static void agent_end(struct service *s)
{
	struct agent *a = s->agent;

	if (user_ops(s)->service.end)
		user_ops(s)->service.end(s);
	pthread_mutex_destroy(&a->lock);
	x_free(&a);
}

int agent_main(int argc, char **argv, const struct agent_ops *ops)
{
	struct agent_service_ops wrapped = {ops->service, ops};

	wrapped.ops.start = agent_start;
	wrapped.ops.accepted = agent_accepted;
	wrapped.ops.retire = agent_retire;
	wrapped.ops.tick = agent_tick;
	wrapped.ops.end = agent_end;
	return service_main(argc, argv, &wrapped.ops);
}
