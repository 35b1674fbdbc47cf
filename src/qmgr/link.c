#include "qmgr/link.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sys.h"

#define READ_SIZE 65536
#define OUT_MAX ((size_t)256 << 20)

static struct link *link_of(struct list *node)
{
	return container_of(node, struct link, node);
}

static struct links *links_of(struct transport *t)
{
	struct links *l = t->links;

	if (l == NULL) {
		t->links = l = x_alloc(sizeof(*l));
		list_init(&l->list);
	}
	return l;
}

/* ---- the end of a connection */

static void kill_transport(struct qmgr *q, struct transport *t, const char *why)
{
	log_warning("connect to transport private/%s: %s", t->name, why);
	sched_kill_transport(t, "4.3.0", "mail transport unavailable", clock_mono());
	message_put_off_transport(q, t);
}

/* Who was there at two ends is likely to be the cause: it and its destination wait, the others go on. */
static void strike(struct qmgr *q, struct entry *e)
{
	struct dest *d = e->peer->dest;
	int64_t now = clock_mono();

	if (++e->strikes < LINK_STRIKES) {
		sched_return(e);
		return;
	}
	sched_done(e, SCHED_NEUTRAL, NULL, now);
	sched_kill_dest(d, "4.3.0", "delivery agent ended without an answer", now);
	message_put_off(q, e, "4.3.0", "delivery agent ended without an answer");
	message_put_off_dest(q, d);
}

static void give_back(struct link *l)
{
	for (uint32_t i = 0; i < l->slots; i++) {
		struct entry *e = l->entries[i];

		l->entries[i] = NULL;
		if (e != NULL)
			strike(l->qmgr, e);
	}
	l->in_flight = l->suspects = 0;
}

static void detach(struct link *l)
{
	struct links *links = links_of(l->transport);

	loop_unwatch(l->qmgr, &l->watch);
	list_remove(&l->node);
	list_remove(&l->out_node);
	list_append(&l->qmgr->dead_links, &l->node);
	links->count--;
	if (l->slots == 0)
		links->greeting--;
	if (!l->draining)
		links->slots -= l->slots;
}

static void link_end(struct link *l, const char *why)
{
	struct transport *t = l->transport;
	struct links *links = links_of(t);
	struct qmgr *q = l->qmgr;
	bool greeted = l->slots > 0;

	if (l->watch.fd < 0)
		return;
	detach(l);
	if (l->answered || (l->in_flight == 0 && greeted))
		links->failures = 0;
	else
		links->failures++;
	give_back(l);
	if (!greeted || links->failures >= LINK_FAILURES)
		kill_transport(q, t, why);
	if (list_empty(&t->dirty))
		list_append(&q->sched.dirty, &t->dirty);
}

static void link_free(struct link *l)
{
	buf_free(&l->in);
	buf_free(&l->out);
	x_free(&l->entries);
	x_free(&l->ends);
	x_free(&l);
}

void link_reap(struct qmgr *q)
{
	struct list *node;

	while ((node = list_shift(&q->dead_links)) != NULL)
		link_free(link_of(node));
}

/* ---- what the agent says */

static bool take_hello(struct link *l, struct cursor fields)
{
	struct links *links = links_of(l->transport);
	struct agent_hello hello = {0};

	if (l->slots > 0 || !agent_hello_decode(fields, &hello) || hello.slots == 0)
		return false;
	l->slots = hello.slots < LINK_SLOTS_MAX ? hello.slots : LINK_SLOTS_MAX;
	l->entries = x_alloc(l->slots * sizeof(struct entry *));
	l->ends = x_alloc(l->slots * sizeof(*l->ends));
	links->greeting--;
	links->slots += l->slots;
	if (list_empty(&l->transport->dirty))
		list_append(&l->qmgr->sched.dirty, &l->transport->dirty);
	return true;
}

/* The entry a result is about, taken off the connection; NULL: there is none. */
static struct entry *take_entry(struct link *l, uint64_t id)
{
	uint64_t slot = id % LINK_SLOTS_MAX;
	struct entry *e = slot < l->slots ? l->entries[slot] : NULL;

	if (e == NULL || e->request_id != id)
		return NULL;
	l->entries[slot] = NULL;
	l->in_flight--;
	l->suspects -= e->strikes > 0;
	return e;
}

static bool take_result(struct link *l, struct cursor fields)
{
	struct pool *pool = pool_new(1024);
	struct delivery_result result = {0};
	struct entry *e = NULL;

	if (delivery_result_decode(fields, pool, &result))
		e = take_entry(l, result.id);
	if (e != NULL) {
		l->answered = true;
		links_of(l->transport)->failures = 0;
		message_result(l->qmgr, e, &result);
	}
	pool_free(&pool);
	return e != NULL;
}

/* false: the agent does not keep to the protocol. */
static bool take_frame(void *link, uint16_t type, struct cursor fields)
{
	struct link *l = link;

	if (type == FRAME_AGENT_HELLO)
		return take_hello(l, fields);
	if (type == FRAME_RESULT && l->slots > 0)
		return take_result(l, fields);
	return false;
}

static void link_read(struct link *l)
{
	char *room = buf_reserve(&l->in, READ_SIZE);
	ssize_t n = room ? recv(l->watch.fd, room, READ_SIZE, MSG_DONTWAIT) : -1;

	if (room == NULL) {
		link_end(l, "answer too large");
	} else if (n > 0) {
		buf_added(&l->in, (size_t)n);
		if (!frame_take_all(&l->in, take_frame, l))
			link_end(l, "malformed answer from the delivery agent");
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		link_end(l, "premature end of the connection");
	}
}

/* ---- what it is told */

static void want_write(struct link *l, bool want)
{
	if (l->want_write == want)
		return;
	l->want_write = want;
	l->stuck_since = clock_mono();
	loop_rewatch(l->qmgr, &l->watch, EPOLLIN | (want ? EPOLLOUT : 0));
}

/* An agent that closes its reading side retires: it still answers what it has; what it never saw goes to
 * another. */
static void drain(struct link *l)
{
	if (l->draining)
		return;
	l->draining = true;
	links_of(l->transport)->slots -= l->slots;
	want_write(l, false);
	buf_clear(&l->out);
	for (uint32_t i = 0; i < l->slots; i++) {
		struct entry *e = l->entries[i];

		if (e == NULL || l->ends[i] <= l->sent)
			continue;
		l->entries[i] = NULL;
		l->in_flight--;
		l->suspects -= e->strikes > 0;
		sched_return(e);
	}
}

static void link_write(struct link *l)
{
	ssize_t n = send(l->watch.fd, l->out.data, l->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
		drain(l);
		return;
	}
	if (n > 0) {
		l->sent += (uint64_t)n;
		l->stuck_since = clock_mono();
		buf_remove(&l->out, 0, (size_t)n);
	}
	want_write(l, l->out.len > 0);
}

static void link_ready(struct watch *watch, uint32_t events)
{
	struct link *l = (struct link *)watch;

	if (l->watch.fd >= 0 && (events & EPOLLOUT))
		link_write(l);
	if (l->watch.fd >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		link_read(l);
}

void link_flush_all(struct qmgr *q)
{
	struct list *node;

	while ((node = list_shift(&q->links)) != NULL) {
		struct link *l = container_of(node, struct link, out_node);

		if (!l->want_write)
			link_write(l);
	}
}

static void encode(struct link *l, const struct entry *e)
{
	const struct message *m = e->peer->job->message;
	struct pool *scratch = pool_new(1024);
	struct delivery_request r = {.id = e->request_id};
	size_t before = l->out.len;

	message_request(m, e, &r, scratch);
	delivery_request_encode(&l->out, &r);
	l->put += l->out.len - before;
	pool_free(&scratch);
}

static void give(struct link *l, struct entry *e)
{
	uint32_t slot = 0;

	while (l->entries[slot] != NULL)
		slot++;
	l->entries[slot] = e;
	l->in_flight++;
	l->suspects += e->strikes > 0;
	e->request_id = l->next_id++ * LINK_SLOTS_MAX + slot;
	encode(l, e);
	l->ends[slot] = l->put;
	if (list_empty(&l->out_node))
		list_append(&l->qmgr->links, &l->out_node);
	if (l->out.over)
		link_end(l, "request too large");
}

/* ---- new connections */

static int connect_agent(const char *name, const char **why)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int n = snprintf(sun.sun_path, sizeof(sun.sun_path), "private/%s", name);
	int fd;

	*why = "name too long";
	if (n < 0 || (size_t)n >= sizeof(sun.sun_path) || strchr(name, '/') != NULL)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	*why = errno == EAGAIN ? NULL : strerror(errno); /* NULL: its backlog is full, later there is room */
	sys_close(&fd);
	return -1;
}

static void link_open(struct qmgr *q, struct transport *t)
{
	struct links *links = links_of(t);
	const char *why;
	int fd = connect_agent(t->name, &why);
	struct link *l;

	if (fd < 0) {
		if (why != NULL)
			kill_transport(q, t, why);
		return;
	}
	l = x_alloc(sizeof(*l));
	*l = (struct link){.watch = {fd, link_ready}, .qmgr = q, .transport = t, .since = clock_mono()};
	buf_init(&l->in, FRAME_MAX + READ_SIZE);
	buf_init(&l->out, OUT_MAX);
	list_init(&l->out_node);
	list_init(&l->node);
	list_append(&links->list, &l->node);
	links->count++;
	links->greeting++;
	if (!loop_watch(q, &l->watch, EPOLLIN))
		link_end(l, "too many connections");
}

static bool has_room(const struct link *l)
{
	return l->slots > l->in_flight && !l->draining;
}

static struct link *find_room(struct links *links)
{
	list_each(node, &links->list) if (has_room(link_of(node))) return link_of(node);
	return NULL;
}

/* One process after the other is started, as long as their slots together are fewer than the service may
 * have. */
static bool may_open(const struct transport *t, const struct links *links)
{
	size_t limit = t->set.process_limit > 0 ? (size_t)t->set.process_limit : SIZE_MAX;

	return links->greeting == 0 && links->slots < limit;
}

static bool suspect_pair(const struct link *l, const struct entry *e)
{
	return e->strikes > 0 && l->suspects > 0;
}

void link_dispatch(struct qmgr *q, struct transport *t)
{
	struct links *links = links_of(t);
	int64_t now = clock_mono();
	struct entry *e;
	struct link *l;

	while (sched_has_waiting(t)) {
		l = find_room(links);
		if (l == NULL) {
			if (may_open(t, links))
				link_open(q, t);
			return;
		}
		e = sched_pick(t, now);
		if (e == NULL)
			return;
		if (suspect_pair(l, e)) {
			sched_return(e);
			list_remove(&t->dirty); /* the result of the other one comes first */
			return;
		}
		give(l, e);
	}
}

/* ---- housekeeping */

/* What is wrong with the connection; NULL: nothing. */
static const char *overdue(const struct link *l, int64_t now)
{
	if (l->slots == 0 && now - l->since > LINK_HELLO_SECONDS * NS_PER_SEC)
		return "the delivery agent does not answer";
	if (l->want_write && now - l->stuck_since > l->qmgr->cfg->qmgr_ipc_timeout * NS_PER_SEC)
		return "the delivery agent takes no requests";
	return NULL;
}

static void tick_transport(struct transport *t, int64_t now)
{
	struct links *links = links_of(t);

	list_each(node, &links->list)
	{
		struct link *l = link_of(node);
		const char *why = overdue(l, now);

		if (why != NULL)
			link_end(l, why);
	}
	if (list_empty(&t->dirty))
		list_append(&t->sched->dirty, &t->dirty);
}

void link_tick(struct qmgr *q, int64_t now)
{
	size_t pos = 0;
	struct str key;
	void *value;

	while (hash_next(q->sched.transports, &pos, &key, &value))
		tick_transport(value, now);
}

size_t link_in_flight(const struct qmgr *q)
{
	size_t pos = 0, n = 0;
	struct str key;
	void *value;

	while (hash_next(q->sched.transports, &pos, &key, &value))
		n += (size_t)((struct transport *)value)->busy;
	return n;
}

static void close_links(struct transport *t)
{
	struct links *links = links_of(t);
	struct list *node;

	while ((node = list_shift(&links->list)) != NULL) {
		struct link *l = link_of(node);

		sys_close(&l->watch.fd);
		link_free(l);
	}
	x_free(&t->links);
}

void link_close_all(struct qmgr *q)
{
	size_t pos = 0;
	struct str key;
	void *value;

	link_reap(q);
	while (hash_next(q->sched.transports, &pos, &key, &value))
		close_links(value);
}
