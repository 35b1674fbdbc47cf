#include "policy/policy.h"

#include <limits.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/net.h"
#include "base/stream.h"

struct connection {
	struct list link; /* in idle, or in none */
	struct stream *io;
	uint64_t owner; /* of the last request; 0: it asks no more */
	int64_t born, used;
	int requests;
};

struct policy_client {
	struct policy_options options; /* const */
	pthread_mutex_t lock;	       /* of all below */
	struct list idle;	       /* the one used last is first */
	int count;		       /* of connections, idle and in use */
	int limit;
};

struct policy_client *policy_client_new(const struct policy_options *options)
{
	struct policy_client *client = x_alloc(sizeof(*client));

	client->options = *options;
	client->limit = INT_MAX;
	pthread_mutex_init(&client->lock, NULL);
	list_init(&client->idle);
	return client;
}

static void connection_free(struct connection *c)
{
	stream_free(&c->io);
	x_free(&c);
}

static void close_all(struct list *connections)
{
	struct list *link;

	while ((link = list_shift(connections)))
		connection_free(container_of(link, struct connection, link));
}

void policy_client_free(struct policy_client **client)
{
	if (!*client)
		return;
	close_all(&(*client)->idle);
	pthread_mutex_destroy(&(*client)->lock);
	x_free(client);
}

const struct policy_options *policy_client_options(const struct policy_client *client)
{
	return &client->options;
}

void policy_client_limit(struct policy_client *client, int connections)
{
	pthread_mutex_lock(&client->lock);
	client->limit = connections;
	pthread_mutex_unlock(&client->lock);
}

/* ---- which connection */

static bool expired(const struct policy_options *o, const struct connection *c, int64_t now)
{
	return now - c->used > o->max_idle * NS_PER_SEC || now - c->born > o->max_ttl * NS_PER_SEC ||
	       (o->request_limit > 0 && c->requests >= o->request_limit);
}

/* Takes the expired ones out; they are closed without the lock. */
static void take_expired(struct policy_client *client, struct list *out)
{
	int64_t now = clock_mono();

	list_init(out);
	list_each(link, &client->idle)
	{
		if (expired(&client->options, container_of(link, struct connection, link), now)) {
			list_remove(link);
			list_append(out, link);
			client->count--;
		}
	}
}

/* The idle one that has to do with owner: its own, else a free one, else, when there may be no more, the one
 * whose owner has been silent longest. */
static struct connection *take_idle(struct policy_client *client, uint64_t owner)
{
	struct connection *free_one = NULL, *last = NULL;

	list_each(link, &client->idle)
	{
		last = container_of(link, struct connection, link);
		if (owner != 0 && last->owner == owner)
			return last;
		if (last->owner == 0 && !free_one)
			free_one = last;
	}
	if (free_one)
		return free_one;
	return client->count >= client->limit ? last : NULL;
}

static void forget_one(struct policy_client *client)
{
	pthread_mutex_lock(&client->lock);
	client->count--;
	pthread_mutex_unlock(&client->lock);
}

static void drop(struct policy_client *client, struct connection *c)
{
	forget_one(client);
	connection_free(c);
}

/* Whether the server is still there and has nothing to say that nobody asked for. */
static bool quiet(struct connection *c)
{
	return stream_status(c->io) == STREAM_OK && stream_buffered(c->io) == 0 && stream_fill(c->io, 0) == 0;
}

/* An open connection that was used before; NULL: none is to be used, and a place is taken for a new one. */
static struct connection *reuse(struct policy_client *client, uint64_t owner)
{
	struct connection *c;
	struct list old;

	for (;;) {
		pthread_mutex_lock(&client->lock);
		take_expired(client, &old);
		c = take_idle(client, owner);
		if (c)
			list_remove(&c->link);
		else
			client->count++;
		pthread_mutex_unlock(&client->lock);
		close_all(&old);
		if (!c || quiet(c))
			return c;
		drop(client, c);
	}
}

static struct connection *connect_new(struct policy_client *client, struct err *err)
{
	const struct policy_options *o = &client->options;
	int fd = net_connect_endpoint(o->endpoint, deadline_in(o->timeout), err);
	struct connection *c;

	if (fd < 0) {
		forget_one(client);
		return NULL;
	}
	c = x_alloc(sizeof(*c));
	list_init(&c->link);
	c->io = stream_new(fd);
	c->born = c->used = clock_mono();
	stream_set_timeout(c->io, o->timeout, true);
	return c;
}

static void keep(struct policy_client *client, struct connection *c, uint64_t owner)
{
	c->owner = owner;
	c->used = clock_mono();
	if (expired(&client->options, c, c->used)) {
		drop(client, c);
		return;
	}
	stream_relax(c->io);
	pthread_mutex_lock(&client->lock);
	list_prepend(&client->idle, &c->link);
	pthread_mutex_unlock(&client->lock);
}

/* ---- asking */

static bool lost(struct stream *io, struct err *err)
{
	switch (stream_status(io)) {
	case STREAM_TIMEOUT:
		return err_set(err, "time limit exceeded");
	case STREAM_EOF:
		return err_set(err, "the server closed the connection");
	default:
		return err_set(err, "connection lost: %s", strerror(stream_errno(io)));
	}
}

static bool read_answer(struct stream *io, struct buf *action, struct err *err)
{
	struct policy_answer answer = {.action = BUF(POLICY_LINE_MAX)};
	enum policy_step step = POLICY_MORE;
	enum line_end end;
	struct str line;
	bool good = true;

	while (good && step == POLICY_MORE) {
		if (stream_line(io, POLICY_LINE_MAX, &line, &end) != STREAM_OK)
			good = lost(io, err);
		else if (end == LINE_PARTIAL)
			good = err_set(err, "a line of the answer is too long");
		else
			step = policy_answer_line(&answer, line, err);
	}
	good = good && step == POLICY_DONE && buf_str(action, buf_slice(&answer.action));
	buf_free(&answer.action);
	return good;
}

static bool exchange(struct connection *c, struct str request, struct buf *action, struct err *err)
{
	c->requests++;
	stream_start_request(c->io);
	stream_write(c->io, request.p, request.n);
	stream_write(c->io, "\n", 1);
	if (!stream_flush(c->io))
		return lost(c->io, err);
	return read_answer(c->io, action, err);
}

enum attempt { ATTEMPT_ANSWERED, ATTEMPT_FAILED, ATTEMPT_STALE };

/* STALE: a connection from before ended when it was used; a new one may work at once. */
static enum attempt attempt(
	struct policy_client *client, uint64_t owner, struct str request, struct buf *action, struct err *err)
{
	struct connection *c = reuse(client, owner);
	bool used_before = c != NULL;

	if (!c)
		c = connect_new(client, err);
	if (!c)
		return ATTEMPT_FAILED;
	if (exchange(c, request, action, err)) {
		keep(client, c, owner);
		return ATTEMPT_ANSWERED;
	}
	used_before =
		used_before && stream_status(c->io) != STREAM_OK && stream_status(c->io) != STREAM_TIMEOUT;
	drop(client, c);
	return used_before ? ATTEMPT_STALE : ATTEMPT_FAILED;
}

static void pause_between(int seconds)
{
	net_wait(-1, 0, deadline_in(seconds));
}

bool policy_ask(
	struct policy_client *client, uint64_t owner, struct str request, struct buf *action, struct err *err)
{
	const struct policy_options *o = &client->options;

	for (int tries = 1;; tries++) {
		enum attempt result = attempt(client, owner, request, action, err);

		if (result == ATTEMPT_ANSWERED)
			return true;
		if (tries >= o->try_limit)
			return err_prefix(err, "problem talking to server %s", o->endpoint);
		if (result == ATTEMPT_FAILED && o->retry_delay > 0)
			pause_between(o->retry_delay);
	}
}

void policy_client_forget(struct policy_client *client, uint64_t owner)
{
	pthread_mutex_lock(&client->lock);
	list_each(link, &client->idle)
	{
		struct connection *c = container_of(link, struct connection, link);

		if (c->owner == owner)
			c->owner = 0;
	}
	pthread_mutex_unlock(&client->lock);
}

void policy_client_tidy(struct policy_client *client)
{
	struct list old;

	pthread_mutex_lock(&client->lock);
	take_expired(client, &old);
	pthread_mutex_unlock(&client->lock);
	close_all(&old);
}
