#include "qmgr/message.h"

#include "base/clock.h"
#include "base/log.h"
#include "mail/address.h"
#include "mail/verp.h"
#include "qmgr/qmgr.h"

/* ---- the end of an attempt */

static void message_free(struct qmgr *q, struct message *m)
{
	handover_release(q, m);
	list_remove(&m->link);
	q->active_count--;
	q->active_recipients -= m->route_count;
	probe_freed(q, m);
	pool_free(&m->pool);
}

/* Where the message goes in memory after its file has gone there. */
static void leave(struct qmgr *q, struct message *m)
{
	struct known_message *known = m->known;
	struct queue_id id = known->id;
	bool again = known->again, gone = known->gone;

	/* Who took the file away may have brought it back, and our scan of then passed over what we had in
	 * hand. */
	if (gone)
		q->next_scan = clock_mono();
	if (m->end != MESSAGE_DEFERRED || gone)
		known_drop(&q->known, known);
	else
		known_defer(&q->known, known, m->queue, again ? clock_real() : m->next_us);
	message_free(q, m);
	if (again && q->resting)
		handover_flushes(q);
	else if (again && gone)
		intake_flush_id(q, &id);
}

/* Nothing was tried: the successor finds the file as it was, but does not know of a flush. */
static void leave_behind(struct qmgr *q, struct message *m)
{
	int64_t now = clock_real();

	if (m->queue == QUEUE_DEFERRED && !m->known->gone) {
		m->known->urgent = m->env->next_attempt_us > now;
		known_defer(&q->known, m->known, m->queue, now);
	}
	message_free(q, m);
}

static void finish_done(struct work *work, void *owner)
{
	leave(owner, container_of(work, struct message, work));
}

static void record_done(struct work *work, void *owner);

static void submit(
	struct qmgr *q, struct message *m, void (*run)(struct work *), void (*done)(struct work *, void *))
{
	m->work.run = run;
	m->work.done = done;
	work_submit(q->workers, &m->work);
}

/* One at a time works on a message; what happens meanwhile (message_forget) must wait for it. */
static bool message_is_with_worker(const struct message *m)
{
	return m->recording > 0 || m->finishing;
}

/* Goes on after decisions: records them, or finishes when there is nothing left to decide. */
static void advance(struct qmgr *q, struct message *m)
{
	if (!m->ready || message_is_with_worker(m))
		return;
	m->gone = m->known->gone;
	if (m->open == 0) {
		m->finishing = true;
		submit(q, m, finish_run, finish_done);
	} else if (m->decided > m->recorded && !m->gone) {
		m->recording = m->decided;
		submit(q, m, record_run, record_done);
	}
}

static void record_done(struct work *work, void *owner)
{
	struct message *m = container_of(work, struct message, work);

	m->recorded = m->recording;
	m->recording = 0;
	advance(owner, m);
}

/* ---- decisions */

static enum recipient_state state_after(enum dsn_action action)
{
	switch (action) {
	case DSN_FAILED:
		return RECIPIENT_FAILED;
	case DSN_DELAYED:
	case DSN_NONE:
		return RECIPIENT_PENDING;
	default:
		return RECIPIENT_DONE;
	}
}

static void decide(struct message *m, uint32_t index, const struct dsn *dsn, bool own)
{
	struct spool_recipient *rcpt = &m->env->recipients[index];

	if (m->qmgr->cfg->soft_bounce)
		dsn = dsn_soften(m->pool, dsn);
	rcpt->state = state_after(dsn->action);
	rcpt->last = dsn;
	m->decisions[m->decided++] = (struct decision){index, dsn, rcpt->state, own};
	m->owners[index] = NULL;
	m->open--;
}

/* All recipients of the entry that have no decision yet. */
static void decide_rest(struct message *m, const struct entry *e, const struct dsn *dsn, bool own)
{
	for (uint32_t i = 0; i < e->count; i++)
		if (m->owners[e->indexes[i]] == e)
			decide(m, e->indexes[i], dsn, own);
}

static const struct dsn *put_off_dsn(struct message *m, const char *status, const char *text)
{
	return dsn_make(m->pool, DSN_DELAYED, status, "%s", text);
}

void message_put_off(struct qmgr *q, struct entry *e, const char *status, const char *text)
{
	struct message *m = e->peer->job->message;

	decide_rest(m, e, put_off_dsn(m, status, text), true);
	advance(q, m);
}

static void put_off_held(struct qmgr *q, struct entry *e, const struct hold_reason *why, bool transport)
{
	struct message *m = e->peer->job->message;
	const char *text =
		transport ? why->text : pool_printf(m->pool, "delivery temporarily suspended: %s", why->text);

	message_put_off(q, e, why->status, text);
}

void message_put_off_dest(struct qmgr *q, struct dest *d)
{
	const struct hold_reason *why = sched_held(d);
	bool transport = why == &d->transport->dead;
	struct entry *e;

	if (why == NULL)
		return;
	while ((e = sched_drain(d)) != NULL)
		put_off_held(q, e, why, transport);
}

void message_put_off_transport(struct qmgr *q, struct transport *t)
{
	size_t pos = 0;
	struct str key;
	void *value;

	while (hash_next(t->dests, &pos, &key, &value)) {
		message_put_off_dest(q, value);
		sched_release(value);
	}
}

static void log_window(const struct dest *d, bool died)
{
	log_info("%s:%s: window %d, busy %d, credit %.2f, failed cohorts %.2f%s", d->transport->name, d->key,
		d->window.size, d->busy, d->window.credit, d->window.cohorts, died ? ", dead" : "");
}

static void put_off_job(struct qmgr *q, struct job *job, bool urgent);

/* mailbox_transport and the like: a recipient goes on from one agent to another, once. */
static void pass_on(struct qmgr *q, struct message *m, const struct delivery_outcome *o, bool again)
{
	struct transport *t = sched_transport(&q->sched, str_c(o->transport));
	const char *address = m->env->recipients[o->index].address;
	const char *key = t->set.recipient_limit == 1 ? address : o->nexthop;
	struct job *job;
	struct entry *e;

	if (again) {
		decide(m, o->index, put_off_dsn(m, "4.3.5", "mail transport loop"), true);
		return;
	}
	job = sched_job(t, m->pool, m, &m->jobs);
	e = sched_add(job, sched_dest(t, str_c(key), str_c(o->nexthop)), m->pool, &o->index, 1);
	e->passed = true;
	m->owners[o->index] = e;
	sched_job_ready(job);
	put_off_job(q, job, false);
}

static void take_outcome(
	struct qmgr *q, struct message *m, const struct entry *e, const struct delivery_outcome *o)
{
	bool ours = o->index < m->env->recipient_count && m->owners[o->index] == e;

	if (ours && o->dsn != NULL)
		decide(m, o->index, dsn_copy(m->pool, o->dsn), false);
	else if (ours)
		pass_on(q, m, o, e->passed || strcmp(o->transport, e->peer->job->transport->name) == 0);
}

void message_result(struct qmgr *q, struct entry *e, const struct delivery_result *result)
{
	struct message *m = e->peer->job->message;
	struct dest *d = e->peer->dest;
	const struct dsn *trouble = result->trouble ? dsn_copy(m->pool, result->trouble) : NULL;
	bool died;

	for (size_t i = 0; i < result->outcome_count; i++)
		take_outcome(q, m, e, &result->outcomes[i]);
	m->corrupt |= result->corrupt;
	died = sched_done(e, trouble ? SCHED_TROUBLE : SCHED_GOOD, trouble, clock_mono());
	if (q->cfg->destination_concurrency_feedback_debug)
		log_window(d, died);
	if (trouble == NULL)
		trouble = put_off_dsn(m, "4.3.0", "the delivery agent gave no result");
	decide_rest(m, e, trouble, false);
	if (died)
		message_put_off_dest(q, d);
	sched_release(d);
	advance(q, m);
}

void message_forget(struct qmgr *q, struct message *m)
{
	struct entry *e;

	list_each(node, &m->jobs)
	{
		struct job *job = container_of(node, struct job, m_link);

		while ((e = sched_drain_job(job)) != NULL) {
			struct dest *d = e->peer->dest;

			decide_rest(m, e, put_off_dsn(m, "4.0.0", "message taken away"), false);
			sched_release(d);
		}
	}
	advance(q, m);
}

static void forget_waiting(struct message *m)
{
	struct entry *e;

	list_each(node, &m->jobs)
	{
		struct job *job = container_of(node, struct job, m_link);

		while ((e = sched_drain_job(job)) != NULL) {
			for (uint32_t i = 0; i < e->count; i++)
				m->open -= m->owners[e->indexes[i]] == e;
			sched_release(e->peer->dest);
		}
	}
}

void message_hand_over(struct qmgr *q)
{
	list_each(node, &q->active)
	{
		struct message *m = container_of(node, struct message, link);

		if (m->ready)
			forget_waiting(m);
		if (message_is_with_worker(m))
			continue;
		m->handed_over = true;
		if (m->ready && m->open == 0)
			leave_behind(q, m);
	}
}

/* ---- the beginning */

static bool same_route(const struct route *a, const struct route *b)
{
	return strcmp(a->transport, b->transport) == 0 && strcmp(a->nexthop, b->nexthop) == 0;
}

/* Recipients that may share a request with the first one. */
static size_t request_length(const struct message *m, const struct transport *t, size_t first)
{
	size_t limit = t->set.recipient_limit > 0 ? (size_t)t->set.recipient_limit : m->route_count;
	size_t n = 1;

	if (envelope_attribute(m->env, "verp_delimiters") != NULL)
		limit = 1;
	while (n < limit && first + n < m->route_count &&
		same_route(&m->routes[first], &m->routes[first + n]))
		n++;
	return n;
}

static struct job *job_for(struct message *m, struct transport *t)
{
	struct job *last = list_empty(&m->jobs) ? NULL : container_of(m->jobs.prev, struct job, m_link);

	return last != NULL && last->transport == t ? last : sched_job(t, m->pool, m, &m->jobs);
}

static struct entry *add_request(
	struct message *m, struct transport *t, size_t first, size_t n, uint32_t *indexes)
{
	const struct route *r = &m->routes[first];
	const char *key = t->set.recipient_limit == 1 ? r->address : r->nexthop;
	struct dest *d = sched_dest(t, str_c(key), str_c(r->nexthop));

	for (size_t i = 0; i < n; i++)
		indexes[i] = r[i].index;
	return sched_add(job_for(m, t), d, m->pool, indexes, n);
}

static void build_requests(struct qmgr *q, struct message *m)
{
	uint32_t *indexes = x_alloc((m->route_count + 1) * sizeof(*indexes));
	size_t n;

	for (size_t first = 0; first < m->route_count; first += n) {
		struct transport *t = sched_transport(&q->sched, str_c(m->routes[first].transport));
		struct entry *e;

		n = request_length(m, t, first);
		e = add_request(m, t, first, n, indexes);
		for (size_t i = 0; i < n; i++)
			m->owners[indexes[i]] = e;
	}
	x_free(&indexes);
}

/* Mail for places that are known to be unreachable does not wait. */
static void put_off_job(struct qmgr *q, struct job *job, bool urgent)
{
	struct transport *t = job->transport;

	if (t->set.deferred && !urgent && t->dead.text == NULL)
		sched_kill_transport(t, "4.3.2", "deferred transport", clock_mono());
	list_each(node, &job->peers)
	{
		struct dest *d = container_of(node, struct peer, j_link)->dest;

		message_put_off_dest(q, d);
		sched_release(d);
	}
}

static void activate(struct qmgr *q, struct message *m)
{
	list_init(&m->jobs);
	m->active_us = clock_real();
	m->open = m->route_count;
	q->active_recipients += m->route_count;
	build_requests(q, m);
	list_each(node, &m->jobs)
	{
		struct job *job = container_of(node, struct job, m_link);

		sched_job_ready(job);
		put_off_job(q, job, m->known->urgent);
	}
	m->known->urgent = false;
	m->ready = true;
	advance(q, m);
}

/* The file could not be read: gone, damaged (moved away by the loader), unfinished, or trouble that may pass.
 */
static void not_loaded(struct qmgr *q, struct message *m)
{
	int64_t retry = clock_real() + q->cfg->minimal_backoff_time * US_PER_SEC;

	m->route_count = 0;
	m->end = m->status == SPOOL_TROUBLE ? MESSAGE_DEFERRED : MESSAGE_LOST;
	m->next_us = retry;
	leave(q, m);
}

static void load_done(struct work *work, void *owner)
{
	struct message *m = container_of(work, struct message, work);
	struct qmgr *q = owner;

	q->loading--;
	if (m->status != SPOOL_OK) {
		not_loaded(q, m);
		return;
	}
	m->known->active = m;
	activate(q, m);
}

void message_start(struct qmgr *q, struct known_message *known)
{
	struct pool *pool = pool_new(2048);
	struct message *m = pool_alloc(pool, sizeof(*m));

	m->qmgr = q;
	m->pool = pool;
	m->known = known;
	m->id = known->id;
	m->queue = known->queue;
	list_init(&m->link);
	list_append(&q->active, &m->link);
	q->active_count++;
	q->loading++;
	submit(q, m, load_run, load_done);
}

/* ---- what agents are given */

static const char *request_sender(const struct message *m, const struct entry *e, struct pool *pool)
{
	const char *verp = envelope_attribute(m->env, "verp_delimiters"), *sender;
	const struct spool_recipient *rcpt = &m->env->recipients[e->indexes[0]];
	struct buf out = BUF(2 * ADDRESS_MAX);

	if (verp == NULL || e->count != 1)
		return m->env->sender;
	verp_sender(
		str_c(m->env->sender), verp, str_c(rcpt->original ? rcpt->original : rcpt->address), &out);
	sender = pool_strdup(pool, buf_cstr(&out));
	buf_free(&out);
	return sender;
}

static void request_recipients(
	const struct message *m, const struct entry *e, struct delivery_request *r, struct pool *pool)
{
	r->recipients = pool_alloc(pool, e->count * sizeof(*r->recipients) + 1);
	for (uint32_t i = 0; i < e->count; i++) {
		const struct spool_recipient *rcpt = &m->env->recipients[e->indexes[i]];

		r->recipients[i] = (struct delivery_recipient){
			e->indexes[i], rcpt->address, rcpt->original, rcpt->orcpt, rcpt->notify};
	}
	r->recipient_count = e->count;
}

void message_request(
	const struct message *m, const struct entry *e, struct delivery_request *r, struct pool *scratch)
{
	const struct dest *d = e->peer->dest;
	int64_t now = clock_real();

	r->qid = m->id;
	r->queue = m->queue;
	r->transport = d->transport->name;
	r->nexthop = d->nexthop;
	r->sender = request_sender(m, e, scratch);
	r->envid = m->env->envid;
	r->ret = m->env->ret;
	r->flags = m->env->flags;
	r->content_size = m->env->content_size;
	r->arrival_us = m->env->arrival_us;
	r->active_us = m->active_us;
	r->request_us = now;
	r->final_attempt = now - m->env->arrival_us >= message_lifetime(m->qmgr, m->env) * US_PER_SEC;
	r->busy_destination = d->waiting > 0 || d->busy > 1;
	r->attributes = m->env->attributes;
	r->attribute_count = m->env->attribute_count;
	request_recipients(m, e, r, scratch);
}
