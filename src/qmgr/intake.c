/* How messages come to the queue manager's knowledge: notifications, scans, flushes. */
#include "base/clock.h"
#include "base/log.h"
#include "mail/address.h"
#include "qmgr/qmgr.h"

#define BATCH 256
#define LOADING_MAX 64 /* files being read at once; more would only wait for the workers */
#define RETRY_SCAN_SECONDS 10

/* A piece of a scan, or a list of deferred files whose time of next attempt is to be read. */
struct batch {
	struct work work;
	struct qmgr *qmgr;
	enum spool_queue queue;
	bool due_now; /* to be tried now, whatever the schedule says */
	size_t count;
	struct queue_id ids[BATCH];
	int64_t due_us[BATCH];
};

struct scan {
	struct work work;
	struct qmgr *qmgr;
	enum spool_queue queue;
	struct batch *batch;
	char *site; /* only messages with a recipient there; NULL: all */
	struct err err;
	bool ok;
};

/* ---- deferred messages nobody here has heard of */

static int64_t next_attempt(struct qmgr *q, enum spool_queue queue, const struct queue_id *id)
{
	struct pool *pool = pool_new(1024);
	struct envelope *e;
	struct err err = {""};
	bool ok = spool_load(q->spool, queue, id, pool, &e, &err) == SPOOL_OK;
	int64_t due_us = ok ? e->next_attempt_us : 0;

	pool_free(&pool);
	return due_us;
}

static void peek_run(struct work *work)
{
	struct batch *b = container_of(work, struct batch, work);

	for (size_t i = 0; i < b->count; i++)
		b->due_us[i] = next_attempt(b->qmgr, b->queue, &b->ids[i]);
}

/* What a flush does not find yet, because it is still being read, is due when it is found. */
static void scan_ended(struct qmgr *q)
{
	if (--q->scans == 0)
		q->flushing = false;
}

static void hurry(struct qmgr *q, struct known_message *m)
{
	m->urgent = true;
	if (m->state == KNOWN_DEFERRED)
		known_defer(&q->known, m, m->queue, clock_real());
	else if (m->state == KNOWN_ACTIVE && m->active != NULL)
		m->again = true;
}

static void peek_done(struct work *work, void *owner)
{
	struct batch *b = container_of(work, struct batch, work);
	struct qmgr *q = owner;
	bool now = b->due_now || q->flushing;

	for (size_t i = 0; i < b->count; i++) {
		known_add_deferred(&q->known, b->queue, &b->ids[i], b->due_us[i]);
		if (now)
			hurry(q, known_find(&q->known, &b->ids[i]));
	}
	scan_ended(q);
	if (now && service_retiring(q->service))
		handover_flushes(q);
	x_free(&b);
}

/* Known ones are dropped from the batch; the others are read. */
static void deferred_found(struct qmgr *q, struct batch *b)
{
	size_t unknown = 0;

	for (size_t i = 0; i < b->count; i++) {
		struct known_message *m = known_find(&q->known, &b->ids[i]);

		if (m != NULL && b->due_now)
			hurry(q, m);
		else if (m == NULL)
			b->ids[unknown++] = b->ids[i];
	}
	b->count = unknown;
	if (unknown == 0) {
		x_free(&b);
		return;
	}
	b->work.extra = false;
	b->work.run = peek_run;
	b->work.done = peek_done;
	q->scans++;
	work_submit(q->workers, &b->work);
}

static void batch_done(struct work *work, void *owner)
{
	struct batch *b = container_of(work, struct batch, work);
	struct qmgr *q = owner;

	if (b->queue == QUEUE_DEFERRED) {
		deferred_found(q, b);
		return;
	}
	for (size_t i = 0; i < b->count; i++)
		known_add_incoming(&q->known, &b->ids[i]);
	x_free(&b);
}

/* ---- messages that a retiring queue manager is done with */

struct returned {
	struct work work;
	struct qmgr *qmgr;
	size_t count;
	struct {
		struct queue_id id;
		bool urgent, found;
		enum spool_queue queue;
		int64_t due_us;
	} list[BATCH];
};

static void returned_run(struct work *work)
{
	struct returned *r = container_of(work, struct returned, work);

	for (size_t i = 0; i < r->count; i++) {
		r->list[i].found = spool_find(r->qmgr->spool, &r->list[i].id, &r->list[i].queue);
		if (r->list[i].found && r->list[i].queue == QUEUE_DEFERRED)
			r->list[i].due_us = next_attempt(r->qmgr, QUEUE_DEFERRED, &r->list[i].id);
	}
}

static void returned_done(struct work *work, void *owner)
{
	struct returned *r = container_of(work, struct returned, work);
	struct qmgr *q = owner;

	for (size_t i = 0; i < r->count; i++) {
		if (r->list[i].found && r->list[i].queue == QUEUE_INCOMING)
			known_add_incoming(&q->known, &r->list[i].id);
		else if (r->list[i].found && r->list[i].queue == QUEUE_DEFERRED)
			known_add_deferred(&q->known, QUEUE_DEFERRED, &r->list[i].id, r->list[i].due_us);
		if (r->list[i].urgent && known_find(&q->known, &r->list[i].id) != NULL)
			hurry(q, known_find(&q->known, &r->list[i].id));
	}
	scan_ended(q);
	if (service_retiring(q->service))
		handover_flushes(q);
	x_free(&r);
}

void intake_returned(struct qmgr *q)
{
	struct known_message *m;

	while ((m = known_unlisted_foreign(&q->known)) != NULL) {
		struct returned *r = x_alloc(sizeof(*r));

		for (; r->count < BATCH && m != NULL; m = known_unlisted_foreign(&q->known)) {
			r->list[r->count].id = m->id;
			r->list[r->count++].urgent = m->urgent;
			known_drop(&q->known, m);
		}
		r->qmgr = q;
		r->work.run = returned_run;
		r->work.done = returned_done;
		q->scans++;
		work_submit(q->workers, &r->work);
	}
}

/* ---- scans */

static void new_batch(struct scan *s)
{
	s->batch = x_alloc(sizeof(*s->batch));
	s->batch->qmgr = s->qmgr;
	s->batch->queue = s->queue;
	s->batch->due_now = s->site != NULL;
	s->batch->work.done = batch_done;
}

static void emit(struct scan *s)
{
	work_emit(s->qmgr->workers, &s->batch->work);
	s->batch = NULL;
}

static bool is_at(const struct spool_recipient *r, const char *site)
{
	return str_case_is(address_domain(str_c(r->address)), site);
}

static bool goes_to(const struct scan *s, const struct queue_id *id)
{
	struct pool *pool = pool_new(1024);
	struct envelope *e;
	struct err err = {""};
	bool found = false;

	if (spool_load(s->qmgr->spool, s->queue, id, pool, &e, &err) == SPOOL_OK)
		for (size_t i = 0; i < e->recipient_count && !found; i++)
			found = e->recipients[i].state == RECIPIENT_PENDING &&
				is_at(&e->recipients[i], s->site);
	pool_free(&pool);
	return found;
}

static bool scan_found(void *arg, enum spool_queue queue, const struct queue_id *id)
{
	struct scan *s = arg;

	if (s->site != NULL && !goes_to(s, id))
		return true;
	if (s->batch == NULL)
		new_batch(s);
	s->batch->ids[s->batch->count++] = *id;
	if (s->batch->count == BATCH)
		emit(s);
	return !service_retiring(s->qmgr->service);
}

static void scan_run(struct work *work)
{
	struct scan *s = container_of(work, struct scan, work);

	s->ok = spool_scan(s->qmgr->spool, s->queue, scan_found, s, &s->err);
	if (s->batch != NULL)
		emit(s);
}

static void scan_done(struct work *work, void *owner)
{
	struct scan *s = container_of(work, struct scan, work);
	struct qmgr *q = owner;

	scan_ended(q);
	if (s->site && service_retiring(q->service))
		handover_flush_site(q, s->site);
	if (!s->ok) {
		log_error("cannot read the %s queue: %s", spool_queue_name(s->queue), s->err.text);
		q->next_scan = clock_mono() + RETRY_SCAN_SECONDS * NS_PER_SEC;
	}
	x_free(&s->site);
	x_free(&s);
}

static void start_scan(struct qmgr *q, enum spool_queue queue, const char *site)
{
	struct scan *s = x_alloc(sizeof(*s));

	s->qmgr = q;
	s->queue = queue;
	s->site = site ? x_strdup(site) : NULL;
	s->work.run = scan_run;
	s->work.done = scan_done;
	q->scans++;
	work_submit(q->workers, &s->work);
}

void intake_scan(struct qmgr *q)
{
	start_scan(q, QUEUE_INCOMING, NULL);
	start_scan(q, QUEUE_DEFERRED, NULL);
}

/* ---- recovery after a crash */

struct recovery {
	struct work work;
	struct qmgr *qmgr;
	struct spool_recovery found;
	struct err err;
	bool ok;
};

static void recover_run(struct work *work)
{
	struct recovery *r = container_of(work, struct recovery, work);

	r->ok = spool_recover(r->qmgr->spool, &r->found, &r->err);
}

static void recover_done(struct work *work, void *owner)
{
	struct recovery *r = container_of(work, struct recovery, work);

	if (!r->ok)
		log_error("cannot check the queue: %s", r->err.text);
	if (r->found.leftovers > 0 || r->found.damaged > 0)
		log_info("recovery: %zu messages, %zu unfinished files removed, %zu damaged ones put aside",
			r->found.messages, r->found.leftovers, r->found.damaged);
	x_free(&r);
}

void intake_recover(struct qmgr *q)
{
	struct recovery *r = x_alloc(sizeof(*r));

	r->qmgr = q;
	r->work.run = recover_run;
	r->work.done = recover_done;
	work_submit(q->workers, &r->work);
}

/* ---- one message */

void intake_new(struct qmgr *q, const struct queue_id *id)
{
	known_add_incoming(&q->known, id);
}

bool intake_room(const struct qmgr *q)
{
	size_t messages = (size_t)q->cfg->qmgr_message_active_limit,
	       recipients = (size_t)q->cfg->qmgr_message_recipient_limit;

	if (q->loading >= LOADING_MAX)
		return false;
	return q->active_count == 0 || (q->active_count < messages && q->active_recipients < recipients);
}

void intake_feed(struct qmgr *q)
{
	int64_t now = clock_real();
	struct known_message *m;

	while (intake_room(q) && (m = known_next(&q->known, now)) != NULL)
		message_start(q, m);
}

/* ---- flush and forget */

static bool tries(const struct message *m, const char *site)
{
	for (size_t i = 0; m->ready && i < m->route_count; i++)
		if (is_at(&m->env->recipients[m->routes[i].index], site))
			return true;
	return false;
}

/* What is being tried now may fail for a reason that is gone. site NULL: all. What another queue manager has
 * in hand is little, and tried again as soon as it is ours. */
static void hurry_active(struct qmgr *q, const char *site)
{
	list_each(node, &q->active)
	{
		struct message *m = container_of(node, struct message, link);

		if (site == NULL || tries(m, site))
			hurry(q, m->known);
	}
	list_each(node, &q->known.foreign) hurry(q, container_of(node, struct known_message, line));
}

void intake_flush(struct qmgr *q)
{
	sched_revive_all(&q->sched);
	hurry_active(q, NULL);
	known_flush(&q->known, clock_real());
	q->flushing = q->scans > 0 || q->next_scan == 0;
	start_scan(q, QUEUE_INCOMING, NULL);
}

static void look_for(struct qmgr *q, const struct queue_id *id)
{
	struct batch *b = x_alloc(sizeof(*b));

	b->qmgr = q;
	b->queue = QUEUE_DEFERRED;
	b->due_now = true;
	b->ids[b->count++] = *id;
	b->work.run = peek_run;
	b->work.done = peek_done;
	q->scans++;
	work_submit(q->workers, &b->work);
}

void intake_flush_id(struct qmgr *q, const struct queue_id *id)
{
	struct known_message *m = known_find(&q->known, id);

	sched_revive_all(&q->sched);
	if (m != NULL)
		hurry(q, m);
	else
		look_for(q, id);
}

void intake_flush_site(struct qmgr *q, const char *site)
{
	sched_revive_all(&q->sched);
	hurry_active(q, site);
	start_scan(q, QUEUE_DEFERRED, site);
}

void intake_forget(struct qmgr *q, const struct queue_id *id)
{
	struct known_message *m = known_find(&q->known, id);

	if (m == NULL || m->state == KNOWN_FOREIGN)
		return;
	if (m->state != KNOWN_ACTIVE) {
		known_drop(&q->known, m);
		return;
	}
	m->gone = true;
	if (m->active != NULL)
		message_forget(q, m->active);
}
