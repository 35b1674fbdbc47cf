#include "qmgr/scheduler.h"

#include "base/clock.h"
#include "base/mem.h"

#define PICKED_SPAN 65536 /* a job's order takes so many keys: peers served more often come later */
#define CREDIT_MAX 1000	  /* a long quiet time earns no endless right of way */
#define FRONT_ORDER (INT64_C(1) << 40)

static struct dest *dest_of_fifo(struct heap_entry *e)
{
	return container_of(e, struct dest, t_fifo);
}

static struct peer *peer_of_fifo(struct heap_entry *e)
{
	return container_of(e, struct peer, fifo);
}

static struct entry *entry_of(struct list *node)
{
	return container_of(node, struct entry, link);
}

/* ---- names */

static void reason_clear(struct hold_reason *r)
{
	x_free(&r->text);
}

static void reason_set(struct hold_reason *r, const char *status, const char *text)
{
	reason_clear(r);
	memccpy(r->status, status, '\0', sizeof(r->status) - 1);
	r->text = x_strdup(text);
}

static void dest_free(struct dest *d)
{
	heap_remove(&d->transport->fifo, &d->t_fifo);
	heap_remove(&d->transport->small, &d->t_small);
	heap_remove(&d->transport->sched->dest_timers, &d->timer);
	heap_free(&d->fifo);
	heap_free(&d->small);
	reason_clear(&d->dead);
	x_free(&d->key);
	x_free(&d->nexthop);
	x_free(&d);
}

static void dest_free_value(void *value)
{
	dest_free(value);
}

static void transport_free(void *value)
{
	struct transport *t = value;

	hash_free(&t->dests);
	heap_remove(&t->sched->transport_timers, &t->timer);
	heap_free(&t->fifo);
	heap_free(&t->small);
	reason_clear(&t->dead);
	x_free(&t->name);
	x_free(&t);
}

void sched_init(struct sched *s, sched_settings_fn settings, void *arg)
{
	*s = (struct sched){.settings = settings, .arg = arg};
	s->transports = hash_new(transport_free);
	list_init(&s->dirty);
}

void sched_free(struct sched *s)
{
	hash_free(&s->transports);
	heap_free(&s->dest_timers);
	heap_free(&s->transport_timers);
}

struct transport *sched_transport(struct sched *s, struct str name)
{
	struct transport *t = hash_get(s->transports, name);

	if (t != NULL)
		return t;
	t = x_alloc(sizeof(*t));
	t->sched = s;
	t->name = x_strndup(name.p, name.n);
	t->dests = hash_new(dest_free_value);
	t->front_order = FRONT_ORDER;
	t->next_order = FRONT_ORDER + 1;
	list_init(&t->dirty);
	s->settings(s->arg, t->name, &t->set);
	hash_put(s->transports, name, t);
	return t;
}

static void mark_dirty(struct transport *t)
{
	if (list_empty(&t->dirty))
		list_append(&t->sched->dirty, &t->dirty);
}

struct transport *sched_next_dirty(struct sched *s)
{
	struct list *node = list_shift(&s->dirty);

	return node ? container_of(node, struct transport, dirty) : NULL;
}

struct dest *sched_dest(struct transport *t, struct str key, struct str nexthop)
{
	struct dest *d = hash_get(t->dests, key);

	if (d != NULL)
		return d;
	d = x_alloc(sizeof(*d));
	d->transport = t;
	d->key = x_strndup(key.p, key.n);
	d->nexthop = x_strndup(nexthop.p, nexthop.n);
	window_init(&d->window, &t->set.feedback);
	hash_put(t->dests, key, d);
	return d;
}

void sched_release(struct dest *d)
{
	if (d->waiting == 0 && d->busy == 0 && d->dead.text == NULL && d->timer.place == 0)
		hash_delete(d->transport->dests, str_c(d->key));
}

/* ---- what may be served */

static bool dest_ready(const struct dest *d)
{
	return heap_first(&d->fifo) != NULL && d->dead.text == NULL && d->not_before == 0 &&
	       window_open(&d->window, &d->transport->set.feedback, d->busy);
}

/* Puts the destination where its first peers belong among the transport's, or takes it out. */
static void dest_place(struct dest *d)
{
	struct transport *t = d->transport;

	if (dest_ready(d)) {
		heap_set(&t->fifo, &d->t_fifo, heap_first(&d->fifo)->key);
		heap_set(&t->small, &d->t_small, heap_first(&d->small)->key);
		mark_dirty(t);
	} else {
		heap_remove(&t->fifo, &d->t_fifo);
		heap_remove(&t->small, &d->t_small);
	}
}

static int64_t peer_key(const struct peer *p)
{
	uint32_t picked = p->picked < PICKED_SPAN ? p->picked : PICKED_SPAN - 1;

	return p->job->order * PICKED_SPAN + picked;
}

static void peer_place(struct peer *p)
{
	struct dest *d = p->dest;

	if (list_empty(&p->entries)) {
		heap_remove(&d->fifo, &p->fifo);
		heap_remove(&d->small, &p->small);
	} else {
		heap_set(&d->fifo, &p->fifo, peer_key(p));
		heap_set(&d->small, &p->small, p->job->small_key);
	}
	dest_place(d);
}

/* ---- jobs */

struct job *sched_job(struct transport *t, struct pool *pool, void *message, struct list *jobs)
{
	struct job *job = pool_alloc(pool, sizeof(*job));

	job->transport = t;
	job->message = message;
	job->order = t->next_order++;
	list_init(&job->peers);
	list_append(jobs, &job->m_link);
	return job;
}

static struct peer *peer_for(struct job *job, struct dest *d, struct pool *pool)
{
	struct peer *p;

	if (!list_empty(&job->peers)) {
		p = container_of(job->peers.prev, struct peer, j_link);
		if (p->dest == d)
			return p;
	}
	p = pool_alloc(pool, sizeof(*p));
	p->job = job;
	p->dest = d;
	list_init(&p->entries);
	list_append(&job->peers, &p->j_link);
	return p;
}

struct entry *sched_add(
	struct job *job, struct dest *d, struct pool *pool, const uint32_t *indexes, size_t count)
{
	struct peer *p = peer_for(job, d, pool);
	struct entry *e = pool_alloc(pool, sizeof(*e) + count * sizeof(*indexes));

	e->peer = p;
	e->indexes = (uint32_t *)(void *)(e + 1);
	e->count = (uint32_t)count;
	memcpy(e->indexes, indexes, count * sizeof(*indexes));
	list_append(&p->entries, &e->link);
	job->total++;
	job->waiting++;
	d->waiting++;
	return e;
}

void sched_job_ready(struct job *job)
{
	int64_t total = job->total < (1 << 20) ? (int64_t)job->total : 1 << 20;

	job->small_key = total * FRONT_ORDER + (job->order - FRONT_ORDER);
	list_each(node, &job->peers) peer_place(container_of(node, struct peer, j_link));
}

/* ---- choosing */

static bool big_job(const struct job *job, const struct transport_settings *set)
{
	return set->slot_cost > 0 && !job->preempting &&
	       job->total >= (size_t)set->minimum_slots * (size_t)set->slot_cost;
}

/* What a job must find in the credit to go ahead: its entries, less the discount and the loan. */
static double entry_price(const struct job *job, const struct transport_settings *set)
{
	return (double)job->waiting * (100 - set->slot_discount) / 100.0 - set->slot_loan;
}

/* The first in line is big: a small job that the credit allows for goes to the front. */
static void preempt(struct transport *t, const struct job *head)
{
	struct dest *d = container_of(heap_first(&t->small), struct dest, t_small);
	struct job *job = container_of(heap_first(&d->small), struct peer, small)->job;

	if (job->total >= head->total || entry_price(job, &t->set) > t->credit)
		return;
	t->credit -= (double)job->waiting;
	job->preempting = true;
	job->order = t->front_order--;
	list_each(node, &job->peers)
	{
		struct peer *p = container_of(node, struct peer, j_link);

		if (!list_empty(&p->entries)) /* else its destination may be gone */
			peer_place(p);
	}
}

static struct peer *first_peer(const struct transport *t)
{
	struct heap_entry *first = heap_first(&t->fifo);

	return first ? peer_of_fifo(heap_first(&dest_of_fifo(first)->fifo)) : NULL;
}

static struct peer *choose(struct transport *t)
{
	struct peer *p = first_peer(t);

	if (p == NULL || !big_job(p->job, &t->set))
		return p;
	preempt(t, p->job);
	p = first_peer(t);
	if (big_job(p->job, &t->set) && t->credit < CREDIT_MAX)
		t->credit += 1.0 / t->set.slot_cost;
	return p;
}

static bool transport_open(const struct transport *t)
{
	return t->dead.text == NULL && t->not_before == 0 &&
	       (t->set.process_limit == 0 || t->busy < t->set.process_limit);
}

static void rate_delay_transport(struct transport *t, int64_t now)
{
	if (t->set.transport_rate_delay <= 0)
		return;
	t->not_before = now + t->set.transport_rate_delay * NS_PER_SEC;
	heap_set(&t->sched->transport_timers, &t->timer, t->not_before);
}

struct entry *sched_pick(struct transport *t, int64_t now)
{
	struct peer *p = transport_open(t) ? choose(t) : NULL;
	struct entry *e;

	if (p == NULL)
		return NULL;
	e = entry_of(list_shift(&p->entries));
	p->picked++;
	p->job->waiting--;
	p->dest->waiting--;
	p->dest->busy++;
	t->busy++;
	peer_place(p);
	rate_delay_transport(t, now);
	return e;
}

static void put_down(struct entry *e)
{
	e->peer->dest->busy--;
	e->peer->dest->transport->busy--;
	mark_dirty(e->peer->dest->transport);
}

void sched_return(struct entry *e)
{
	struct peer *p = e->peer;

	put_down(e);
	list_prepend(&p->entries, &e->link);
	p->job->waiting++;
	p->dest->waiting++;
	peer_place(p);
}

/* ---- feedback and death */

void sched_kill_dest(struct dest *d, const char *status, const char *text, int64_t now)
{
	reason_set(&d->dead, status, text);
	heap_set(
		&d->transport->sched->dest_timers, &d->timer, now + d->transport->set.dead_time * NS_PER_SEC);
	dest_place(d);
}

void sched_kill_transport(struct transport *t, const char *status, const char *text, int64_t now)
{
	reason_set(&t->dead, status, text);
	heap_set(&t->sched->transport_timers, &t->timer, now + t->set.retry_time * NS_PER_SEC);
}

static void rate_delay_dest(struct dest *d, int64_t now)
{
	if (d->transport->set.rate_delay <= 0 || d->dead.text != NULL)
		return;
	d->not_before = now + d->transport->set.rate_delay * NS_PER_SEC;
	heap_set(&d->transport->sched->dest_timers, &d->timer, d->not_before);
}

/* The failure counts although nothing may wait for the destination until the next mail comes. */
static void remember_failure(struct dest *d, int64_t now)
{
	if (d->dead.text == NULL)
		heap_set(&d->transport->sched->dest_timers, &d->timer,
			now + d->transport->set.dead_time * NS_PER_SEC);
}

bool sched_done(struct entry *e, enum sched_verdict verdict, const struct dsn *reason, int64_t now)
{
	struct dest *d = e->peer->dest;
	const struct feedback_settings *set = &d->transport->set.feedback;
	bool died = false;

	put_down(e);
	if (verdict == SCHED_GOOD)
		window_success(&d->window, set, d->busy);
	else if (verdict == SCHED_TROUBLE && d->dead.text == NULL)
		died = window_failure(&d->window, set);
	if (died)
		sched_kill_dest(d, reason->status, reason->reason, now);
	else if (verdict == SCHED_TROUBLE)
		remember_failure(d, now);
	rate_delay_dest(d, now);
	dest_place(d);
	return died;
}

const struct hold_reason *sched_held(const struct dest *d)
{
	if (d->transport->dead.text != NULL)
		return &d->transport->dead;
	return d->dead.text != NULL ? &d->dead : NULL;
}

static void revive_dest(struct dest *d)
{
	reason_clear(&d->dead);
	d->not_before = 0;
	heap_remove(&d->transport->sched->dest_timers, &d->timer);
	dest_place(d);
}

static void revive_transport(struct transport *t)
{
	reason_clear(&t->dead);
	t->not_before = 0;
	heap_remove(&t->sched->transport_timers, &t->timer);
	mark_dirty(t);
}

/* After a rate delay the window stays what it was; after death it starts anew. */
static void dest_timer(struct dest *d)
{
	if (d->dead.text != NULL)
		window_init(&d->window, &d->transport->set.feedback);
	revive_dest(d);
	sched_release(d);
}

static struct dest *timed_dest(const struct sched *s)
{
	struct heap_entry *e = heap_first(&s->dest_timers);

	return e ? container_of(e, struct dest, timer) : NULL;
}

static struct transport *timed_transport(const struct sched *s)
{
	struct heap_entry *e = heap_first(&s->transport_timers);

	return e ? container_of(e, struct transport, timer) : NULL;
}

void sched_revive_all(struct sched *s)
{
	struct dest *d;
	struct transport *t;

	while ((d = timed_dest(s)) != NULL)
		dest_timer(d);
	while ((t = timed_transport(s)) != NULL)
		revive_transport(t);
}

int64_t sched_timers(struct sched *s, int64_t now)
{
	struct dest *d;
	struct transport *t;
	int64_t next = INT64_MAX;

	while ((d = timed_dest(s)) != NULL && d->timer.key <= now)
		dest_timer(d);
	while ((t = timed_transport(s)) != NULL && t->timer.key <= now)
		revive_transport(t);
	if (d != NULL)
		next = d->timer.key;
	if (t != NULL && t->timer.key < next)
		next = t->timer.key;
	return next;
}

/* ---- taking waiting entries away */

static struct entry *take_waiting(struct peer *p)
{
	struct entry *e = entry_of(list_shift(&p->entries));

	p->job->waiting--;
	p->dest->waiting--;
	peer_place(p);
	return e;
}

struct entry *sched_drain(struct dest *d)
{
	struct heap_entry *first = heap_first(&d->fifo);

	return first ? take_waiting(peer_of_fifo(first)) : NULL;
}

struct entry *sched_drain_job(struct job *job)
{
	list_each(node, &job->peers)
	{
		struct peer *p = container_of(node, struct peer, j_link);

		if (!list_empty(&p->entries))
			return take_waiting(p);
	}
	return NULL;
}

bool sched_has_waiting(const struct transport *t)
{
	return transport_open(t) && heap_first(&t->fifo) != NULL;
}
