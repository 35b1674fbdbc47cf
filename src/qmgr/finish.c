/* The end of an attempt: reports, and the file is removed or put off. On a worker, which owns the message
 * meanwhile. */
#include "base/clock.h"
#include "base/log.h"
#include "mail/event.h"
#include "qmgr/qmgr.h"

#define FOLLOW_ATTEMPTS 5

int64_t backoff_next(int64_t now_us, int64_t arrival_us, int minimal, int maximal)
{
	int64_t wait = now_us - arrival_us;

	if (wait > maximal * US_PER_SEC)
		wait = maximal * US_PER_SEC;
	if (wait < minimal * US_PER_SEC)
		wait = minimal * US_PER_SEC;
	return now_us + wait;
}

int message_lifetime(const struct qmgr *q, const struct envelope *e)
{
	int life = q->cfg->maximal_queue_lifetime;

	if (*e->sender == '\0' && q->cfg->bounce_queue_lifetime < life)
		life = q->cfg->bounce_queue_lifetime;
	return life;
}

/* ---- the log of what the queue manager decided itself */

static const char *format_delays(const struct message *m, int64_t now_us, char *out, size_t size)
{
	char before[24], queued[24];

	snprintf(out, size, "%s/%s/0/0",
		event_format_seconds(m->active_us - m->env->arrival_us, before, sizeof(before)),
		event_format_seconds(now_us - m->active_us, queued, sizeof(queued)));
	return out;
}

static const char *log_status(const struct message *m, const struct dsn *dsn)
{
	return m->env->flags & ENVELOPE_PROBE ? dsn_probe_status(dsn->action) : dsn_log_status(dsn);
}

static void log_decision(const struct message *m, const struct decision *d, int64_t now_us)
{
	const struct spool_recipient *r = &m->env->recipients[d->index];
	const char *original =
		r->original != NULL && strcmp(r->original, r->address) != 0 ? r->original : NULL;
	char delays[64];

	/* A failure is told in the name of the agent that would have reported it. */
	const struct event_field fields[] = {ev_text("qid", m->id.text), ev_address("to", r->address),
		ev_address("orig_to", original), ev_text("relay", "none"),
		ev_seconds("delay", now_us - m->env->arrival_us),
		ev_text("delays", format_delays(m, now_us, delays, sizeof(delays))),
		ev_text("dsn", d->dsn->status), ev_text("status", log_status(m, d->dsn)),
		ev_text("text", d->dsn->reason)};

	event_log(d->dsn->action == DSN_DELIVERED ? EV_DELIVERY : EV_DELIVERY_HELD, fields,
		sizeof(fields) / sizeof(*fields));
}

static void log_own_decisions(const struct message *m, int64_t now_us)
{
	for (size_t i = 0; i < m->decided; i++)
		if (m->decisions[i].own)
			log_decision(m, &m->decisions[i], now_us);
}

/* ---- the file */

static bool record(struct message *m, size_t from, size_t to, bool durable, struct err *err)
{
	struct spool_update *updates;
	bool ok;

	if (to == from)
		return true;
	updates = x_alloc((to - from) * sizeof(*updates));
	for (size_t i = from; i < to; i++)
		updates[i - from] = (struct spool_update){
			m->decisions[i].index, m->decisions[i].state, m->decisions[i].dsn};
	ok = spool_record(m->qmgr->spool, m->queue, &m->id, updates, to - from, durable, err);
	x_free(&updates);
	return ok;
}

void record_run(struct work *work)
{
	struct message *m = container_of(work, struct message, work);
	struct err err = {""};

	if (!record(m, m->recorded, m->recording, false, &err))
		log_warning("%s: cannot record deliveries: %s", m->id.text, err.text);
}

static bool any_done(const struct message *m)
{
	for (size_t i = 0; i < m->env->recipient_count; i++)
		if (m->env->recipients[i].state == RECIPIENT_DONE)
			return true;
	return false;
}

static bool defer_file(struct message *m, int64_t warned_us, struct err *err)
{
	const struct qmgr *q = m->qmgr;

	if (!record(m, m->recorded, m->decided, any_done(m), err))
		return false;
	if (!spool_schedule(q->spool, m->queue, &m->id, m->next_us, m->env->attempts + 1, warned_us, err))
		return false;
	if (m->queue == QUEUE_DEFERRED)
		return true;
	if (!spool_move(q->spool, m->queue, QUEUE_DEFERRED, &m->id, err))
		return false;
	m->queue = QUEUE_DEFERRED;
	return true;
}

/* Where postsuper left the file; false: nowhere that is ours to write. */
static bool locate(struct message *m)
{
	enum spool_queue where;

	if (!spool_find(m->qmgr->spool, &m->id, &where) || (where != QUEUE_HOLD && where != QUEUE_DEFERRED))
		return false;
	m->queue = where;
	return true;
}

/* Somebody moved the file: what was decided is recorded where it is on hold, or was released to, so that
 * nothing is delivered twice. It may be moved once more meanwhile. */
static bool follow(struct message *m)
{
	struct err err = {""};
	bool found = false;

	m->end = MESSAGE_LOST;
	for (int i = 0; i < FOLLOW_ATTEMPTS && locate(m); i++) {
		found = true;
		if (record(m, m->recorded, m->decided, true, &err))
			return true;
	}
	if (found)
		log_warning("%s: cannot record deliveries: %s", m->id.text, err.text);
	return found;
}

/* If the file cannot be written, memory still knows when to try again. */
static void put_off(struct message *m, int64_t warned_us)
{
	enum spool_queue where;
	struct err err = {""};

	m->end = MESSAGE_DEFERRED;
	if (defer_file(m, warned_us, &err))
		return;
	if (spool_find(m->qmgr->spool, &m->id, &where) && where == m->queue)
		log_warning("%s: cannot record the deferral: %s", m->id.text, err.text);
	else
		follow(m);
}

/* false: somebody moved it at the last moment, and it is recorded where it is now. */
static bool remove_file(struct message *m)
{
	struct err err = {""};
	bool there;

	m->end = MESSAGE_REMOVED;
	if (!spool_take_away(m->qmgr->spool, m->queue, &m->id, &there, &err)) {
		log_warning("%s: cannot remove queue file: %s", m->id.text, err.text);
		put_off(m, m->env->warned_us);
	} else if (!there && follow(m)) {
		return false;
	} else {
		EVENT_LOG(REMOVED, ev_text("qid", m->id.text));
	}
	return true;
}

/* ---- reports */

struct selection {
	uint32_t *indexes;
	size_t count;
};

static struct selection select_state(struct message *m, enum recipient_state state)
{
	struct selection s = {pool_alloc(m->pool, (m->env->recipient_count + 1) * sizeof(uint32_t)), 0};

	for (size_t i = 0; i < m->env->recipient_count; i++)
		if (m->env->recipients[i].state == state)
			s.indexes[s.count++] = (uint32_t)i;
	return s;
}

/* A next host that makes reports tells of the delivery, but knows nothing of the warning that we sent. */
static bool ours_to_tell(const struct message *m, const struct decision *d)
{
	if (d->state != RECIPIENT_DONE)
		return false;
	return d->dsn->action != DSN_PASSED_ON ||
	       (m->env->warned_us != 0 && !(m->env->recipients[d->index].notify & NOTIFY_SUCCESS));
}

/* Delivered in this attempt; who wants to be told of it, the report sees to. */
static struct selection select_successes(struct message *m)
{
	struct selection s = {pool_alloc(m->pool, (m->decided + 1) * sizeof(uint32_t)), 0};

	for (size_t i = 0; i < m->decided; i++) {
		const struct decision *d = &m->decisions[i];

		if (ours_to_tell(m, d))
			s.indexes[s.count++] = d->index;
	}
	return s;
}

static struct selection select_decided(struct message *m)
{
	struct selection s = {pool_alloc(m->pool, (m->decided + 1) * sizeof(uint32_t)), 0};

	for (size_t i = 0; i < m->decided; i++)
		s.indexes[s.count++] = m->decisions[i].index;
	return s;
}

static bool report(struct message *m, enum bounce_kind kind, const struct selection *s)
{
	struct queue_id id = {""};
	struct err err = {""};

	if (s->count == 0 ||
		bounce_send(&m->qmgr->bounce, kind, m->queue, m->env, s->indexes, s->count, &id, &err))
		return true;
	log_warning("%s: cannot make a delivery report: %s", m->id.text, err.text);
	return false;
}

/* After its report a failed recipient is done, on stable storage as the report is. */
static void settle_failures(struct message *m, const struct selection *failed)
{
	struct spool_update *updates = x_alloc((failed->count + 1) * sizeof(*updates));
	struct err err = {""};
	int attempts = 0;

	for (size_t i = 0; i < failed->count; i++) {
		struct spool_recipient *r = &m->env->recipients[failed->indexes[i]];

		r->state = RECIPIENT_DONE;
		updates[i] = (struct spool_update){failed->indexes[i], RECIPIENT_DONE, r->last};
	}
	for (size_t i = 0; i < m->decided; i++)
		m->decisions[i].state = m->env->recipients[m->decisions[i].index].state;
	while (!spool_record(m->qmgr->spool, m->queue, &m->id, updates, failed->count, true, &err))
		if (attempts++ == FOLLOW_ATTEMPTS || !locate(m)) {
			log_warning("%s: cannot record the report: %s", m->id.text, err.text);
			break;
		}
	x_free(&updates);
}

static bool expired(const struct message *m, int64_t now_us)
{
	return (m->env->flags & ENVELOPE_EXPIRED) ||
	       now_us - m->env->arrival_us >= message_lifetime(m->qmgr, m->env) * US_PER_SEC;
}

/* Too old: what is pending has failed. */
static void expire(struct message *m)
{
	struct selection pending = select_state(m, RECIPIENT_PENDING);

	if (pending.count == 0)
		return;
	if (m->env->flags & ENVELOPE_EXPIRED)
		EVENT_LOG(FORCE_EXPIRED, ev_text("qid", m->id.text), ev_address("from", m->env->sender));
	else
		EVENT_LOG(EXPIRED, ev_text("qid", m->id.text), ev_address("from", m->env->sender));
	for (size_t i = 0; i < pending.count; i++)
		m->env->recipients[pending.indexes[i]].state = RECIPIENT_FAILED;
}

/* delay_warning_time, once per message. When the warning is sent, in microseconds; 0: not yet. */
static int64_t warn_sender(struct message *m, const struct selection *pending, int64_t now_us)
{
	int64_t after = m->qmgr->cfg->delay_warning_time * US_PER_SEC;

	if (m->env->warned_us != 0 || after <= 0 || now_us - m->env->arrival_us < after)
		return m->env->warned_us;
	return report(m, BOUNCE_DELAY, pending) ? now_us : 0;
}

static void put_aside(struct message *m)
{
	struct err err = {""};

	m->end = MESSAGE_LOST;
	log_warning("saving corrupt file \"%s\" from queue \"%s\" to queue \"corrupt\"", m->id.text,
		spool_queue_name(m->queue));
	if (!spool_move(m->qmgr->spool, m->queue, QUEUE_CORRUPT, &m->id, &err))
		log_error("%s: cannot move it to the corrupt queue: %s", m->id.text, err.text);
}

/* What was decided is recorded; reports and the rest are the successor's. */
static void leave_rest(struct message *m)
{
	struct err err = {""};

	m->end = MESSAGE_LOST;
	if (!record(m, m->recorded, m->decided, any_done(m), &err))
		log_warning("%s: cannot record deliveries: %s", m->id.text, err.text);
}

static void close_attempt(struct message *m, int64_t now_us)
{
	const struct config *cfg = m->qmgr->cfg;
	struct selection decided = select_decided(m), successes = select_successes(m), failed, pending;
	bool reported, ended;

	if (m->handed_over && select_state(m, RECIPIENT_PENDING).count > 0) {
		leave_rest(m);
		return;
	}
	if ((m->env->flags & ENVELOPE_REPORT) && m->env->attempts == 0)
		report(m, BOUNCE_STATUS, &decided);
	if (expired(m, now_us))
		expire(m);
	failed = select_state(m, RECIPIENT_FAILED);
	pending = select_state(m, RECIPIENT_PENDING);
	report(m, BOUNCE_SUCCESS, &successes);
	reported = report(m, BOUNCE_FAILURE, &failed);
	ended = reported && pending.count == 0;
	if (ended && remove_file(m))
		return;
	if (reported && failed.count > 0)
		settle_failures(m, &failed);
	if (ended)
		return;
	m->next_us = backoff_next(
		now_us, m->env->arrival_us, cfg->minimal_backoff_time, cfg->maximal_backoff_time);
	put_off(m, pending.count > 0 ? warn_sender(m, &pending, now_us) : m->env->warned_us);
}

/* Nothing of a probe is tried again or reported. */
static void close_probe(struct message *m)
{
	if (m->handed_over && m->decided == 0) {
		leave_rest(m);
		return;
	}
	probe_tell(m);
	remove_file(m);
}

/* sendmail -bv: the report is all that comes of it. */
static void close_inquiry(struct message *m, int64_t now_us)
{
	const struct config *cfg = m->qmgr->cfg;
	struct selection decided = select_decided(m);

	if (m->handed_over && select_state(m, RECIPIENT_PENDING).count > 0) {
		leave_rest(m);
	} else if (report(m, BOUNCE_STATUS, &decided)) {
		remove_file(m);
	} else {
		m->next_us = backoff_next(
			now_us, m->env->arrival_us, cfg->minimal_backoff_time, cfg->maximal_backoff_time);
		put_off(m, 0);
	}
}

/* postsuper tells the successor of a queue manager that retires. */
static bool taken_away(const struct message *m)
{
	enum spool_queue where;

	if (m->gone || !service_retiring(m->qmgr->service))
		return m->gone;
	return !spool_find(m->qmgr->spool, &m->id, &where) || where != m->queue;
}

void finish_run(struct work *work)
{
	struct message *m = container_of(work, struct message, work);
	int64_t now_us = clock_real();

	log_own_decisions(m, now_us);
	if (taken_away(m))
		follow(m);
	else if (m->corrupt)
		put_aside(m);
	else if (message_is_probe(m))
		close_probe(m);
	else if (m->env->flags & ENVELOPE_PROBE)
		close_inquiry(m, now_us);
	else
		close_attempt(m, now_us);
}
