#include "table/database_pool.h"

#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/sys.h"

struct host {
	char *name;
	int64_t failed; /* clock_mono() of the last failure; 0: none since it last worked */
};

struct idle {
	void *connection;
	size_t host;
	int64_t since;
};

struct database_pool {
	struct list link; /* in pools */
	const struct database_driver *driver;
	void *state;
	struct host *hosts; /* the names are const */
	size_t host_count;
	int64_t idle_ns, retry_ns;
	pthread_mutex_t lock; /* of all below, and of host.failed */
	pthread_cond_t freed;
	struct idle idle[POOL_CONNECTIONS]; /* the one used last is at the end */
	size_t idle_count;
	size_t in_use;
};

static struct {
	pthread_mutex_t lock; /* guards the list */
	struct list list;
} pools = {PTHREAD_MUTEX_INITIALIZER, {&pools.list, &pools.list}};

static void add_host(struct database_pool *p, struct str name)
{
	p->hosts = x_realloc(p->hosts, (p->host_count + 1) * sizeof(*p->hosts));
	p->hosts[p->host_count++] = (struct host){.name = x_strndup(name.p, name.n)};
}

struct database_pool *database_pool_open(const struct database_driver *driver, void *state, const char *hosts)
{
	struct database_pool *p = x_alloc(sizeof(*p));
	struct str rest = str_c(hosts), name;
	pthread_condattr_t attributes;

	p->driver = driver;
	p->state = state;
	database_pool_set_intervals(p, POOL_IDLE_SECONDS, POOL_RETRY_SECONDS);
	while (str_word(&rest, ", \t\r\n", &name))
		add_host(p, name);
	if (p->host_count == 0)
		add_host(p, STR(""));
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&p->freed, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_mutex_lock(&pools.lock);
	list_append(&pools.list, &p->link);
	pthread_mutex_unlock(&pools.lock);
	return p;
}

void database_pool_set_intervals(struct database_pool *p, int idle, int retry)
{
	p->idle_ns = idle * NS_PER_SEC;
	p->retry_ns = retry * NS_PER_SEC;
}

void database_pool_close(struct database_pool **pp)
{
	struct database_pool *p = *pp;

	if (!p)
		return;
	pthread_mutex_lock(&pools.lock);
	list_remove(&p->link);
	pthread_mutex_unlock(&pools.lock);
	for (size_t i = 0; i < p->idle_count; i++)
		p->driver->disconnect(p->idle[i].connection);
	for (size_t i = 0; i < p->host_count; i++)
		x_free(&p->hosts[i].name);
	x_free(&p->hosts);
	pthread_cond_destroy(&p->freed);
	pthread_mutex_destroy(&p->lock);
	x_free(pp);
}

static bool enter(struct database_pool *p, struct err *err)
{
	int64_t deadline = deadline_in(POOL_WAIT);
	const struct timespec until = {
		.tv_sec = (time_t)(deadline / NS_PER_SEC), .tv_nsec = (long)(deadline % NS_PER_SEC)};
	int problem = 0;

	pthread_mutex_lock(&p->lock);
	while (p->in_use >= POOL_CONNECTIONS && problem == 0)
		problem = pthread_cond_timedwait(&p->freed, &p->lock, &until);
	if (problem == 0)
		p->in_use++;
	pthread_mutex_unlock(&p->lock);
	return problem == 0 || err_set(err, "all %d connections are in use", POOL_CONNECTIONS);
}

static void leave(struct database_pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->in_use--;
	pthread_cond_signal(&p->freed);
	pthread_mutex_unlock(&p->lock);
}

/* Takes out idle connections for which old(host, since) holds; they are closed without the lock. */
static size_t take_idle(
	struct database_pool *p, const size_t *host, int64_t before, void *taken[POOL_CONNECTIONS])
{
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < p->idle_count; i++) {
		if ((host && p->idle[i].host == *host) || p->idle[i].since < before)
			taken[n++] = p->idle[i].connection;
		else
			p->idle[kept++] = p->idle[i];
	}
	p->idle_count = kept;
	return n;
}

static void close_idle(struct database_pool *p, const size_t *host)
{
	void *taken[POOL_CONNECTIONS];
	size_t n;

	pthread_mutex_lock(&p->lock);
	n = take_idle(p, host, clock_mono() - p->idle_ns, taken);
	pthread_mutex_unlock(&p->lock);
	while (n-- > 0)
		p->driver->disconnect(taken[n]);
}

void database_pool_close_idle(void)
{
	pthread_mutex_lock(&pools.lock);
	list_each(pos, &pools.list) close_idle(container_of(pos, struct database_pool, link), NULL);
	pthread_mutex_unlock(&pools.lock);
}

static bool reuse(struct database_pool *p, struct idle *found)
{
	bool any;

	close_idle(p, NULL);
	pthread_mutex_lock(&p->lock);
	any = p->idle_count > 0;
	if (any)
		*found = p->idle[--p->idle_count];
	pthread_mutex_unlock(&p->lock);
	return any;
}

/* The host works: its connection is kept for the next question. */
static void keep(struct database_pool *p, void *connection, size_t host)
{
	bool full;

	pthread_mutex_lock(&p->lock);
	p->hosts[host].failed = 0;
	full = p->idle_count >= POOL_CONNECTIONS;
	if (!full)
		p->idle[p->idle_count++] = (struct idle){connection, host, clock_mono()};
	pthread_mutex_unlock(&p->lock);
	if (full)
		p->driver->disconnect(connection);
}

static void mark_failed(struct database_pool *p, size_t host)
{
	pthread_mutex_lock(&p->lock);
	p->hosts[host].failed = clock_mono();
	pthread_mutex_unlock(&p->lock);
}

/* ---- which host next */

/* Smaller comes first. Hosts that failed lately come after all others, the one that failed first before. */
static int64_t host_rank(const struct database_pool *p, size_t i)
{
	const struct host *h = &p->hosts[i];
	uint16_t random;

	if (h->failed && clock_mono() - h->failed < p->retry_ns)
		return h->failed + (INT64_C(1) << 32);
	if (p->driver->hosts_in_order)
		return (int64_t)i;
	sys_random(&random, sizeof(random));
	return random + (str_starts(str_c(h->name), STR("unix:")) || h->name[0] == '/' ? 0 : 1 << 16);
}

struct candidate {
	size_t host;
	int64_t rank;
	bool failing;
};

static void order_hosts(struct database_pool *p, struct candidate *order)
{
	for (size_t i = 0; i < p->host_count; i++) {
		struct candidate c = {.host = i};
		size_t at = i;

		pthread_mutex_lock(&p->lock);
		c.rank = host_rank(p, i);
		pthread_mutex_unlock(&p->lock);
		c.failing = c.rank >= INT64_C(1) << 32;
		for (; at > 0 && order[at - 1].rank > c.rank; at--)
			order[at] = order[at - 1];
		order[at] = c;
	}
}

/* ---- questions */

static enum database_status ask_host(
	struct database_pool *p, size_t host, struct str key, struct database_answer *answer, struct err *err)
{
	void *connection = p->driver->connect(p->state, p->hosts[host].name, err);
	enum database_status status = DATABASE_LOST;

	if (connection)
		status = p->driver->ask(connection, key, answer, err);
	if (status != DATABASE_LOST) {
		keep(p, connection, host);
		return status;
	}
	if (connection)
		p->driver->disconnect(connection);
	mark_failed(p, host);
	return status;
}

/* One host that failed lately is tried, too, when no other is left. */
static enum database_status ask_hosts(struct database_pool *p, struct str key, struct database_answer *answer,
	void (*begin)(struct database_answer *answer), struct err *err)
{
	struct candidate *order = x_alloc(p->host_count * sizeof(*order));
	enum database_status status = DATABASE_LOST;

	order_hosts(p, order);
	for (size_t i = 0; i < p->host_count && status == DATABASE_LOST; i++) {
		begin(answer);
		status = ask_host(p, order[i].host, key, answer, err);
		if (order[i].failing)
			break;
	}
	x_free(&order);
	return status;
}

/* A connection that was kept may have been closed by the server meanwhile: that is no failure of the host. */
static enum database_status ask_kept(
	struct database_pool *p, struct str key, struct database_answer *answer, struct err *err)
{
	struct idle kept;
	enum database_status status;

	if (!reuse(p, &kept))
		return DATABASE_LOST;
	status = p->driver->ask(kept.connection, key, answer, err);
	if (status != DATABASE_LOST) {
		keep(p, kept.connection, kept.host);
		return status;
	}
	p->driver->disconnect(kept.connection);
	close_idle(p, &kept.host);
	return status;
}

enum database_status database_pool_ask(struct database_pool *p, struct str key,
	struct database_answer *answer, void (*begin)(struct database_answer *answer), struct err *err)
{
	enum database_status status;

	if (!enter(p, err))
		return DATABASE_FAILED;
	begin(answer);
	status = ask_kept(p, key, answer, err);
	if (status == DATABASE_LOST)
		status = ask_hosts(p, key, answer, begin, err);
	leave(p);
	return status;
}
