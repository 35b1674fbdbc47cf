/* Address probes (ADDRESS_VERIFICATION_README): they share the queue with mail, end with their first attempt,
 * and leave what they found out in the address verification cache. */
#include "base/clock.h"
#include "base/log.h"
#include "qmgr/qmgr.h"

struct sweep {
	struct work work;
	struct verify *verify;
	struct verify_sweep result;
	struct err err;
	bool ok;
};

bool message_is_probe(const struct message *m)
{
	return (m->env->flags & (ENVELOPE_PROBE | ENVELOPE_REPORT)) == ENVELOPE_PROBE;
}

/* ---- how many */

bool probe_allowed(struct message *m)
{
	int limit = m->qmgr->cfg->address_verify_pending_request_limit;

	m->probe = true;
	m->unproved = atomic_fetch_add(&m->qmgr->probes, 1) >= limit && limit > 0;
	return !m->unproved;
}

void probe_freed(struct qmgr *q, const struct message *m)
{
	if (m->probe)
		atomic_fetch_sub(&q->probes, 1);
}

/* ---- outcomes */

static enum verify_status status_of(enum recipient_state state)
{
	switch (state) {
	case RECIPIENT_DONE:
		return VERIFY_DELIVERABLE;
	case RECIPIENT_PENDING:
		return VERIFY_DEFERRED;
	default:
		return VERIFY_UNDELIVERABLE;
	}
}

/* Of several decisions, the best counts. */
static const struct decision *best(const struct message *m)
{
	const struct decision *found = NULL;

	for (size_t i = 0; i < m->decided; i++)
		if (!found || status_of(m->decisions[i].state) < status_of(found->state))
			found = &m->decisions[i];
	return found;
}

void probe_tell(const struct message *m)
{
	const char *address = envelope_attribute(m->env, VERIFY_ATTRIBUTE);
	const struct decision *d = best(m);
	struct err err = {""};
	bool good = true;

	if (!address || !m->qmgr->verify)
		return;
	if (!d || m->unproved)
		good = verify_forget(m->qmgr->verify, address, &err);
	else
		good = verify_update(m->qmgr->verify, address, status_of(d->state), d->dsn->reason, &err);
	if (!good)
		log_warning("%s: %s", m->id.text, err.text);
}

/* ---- keeping the cache small */

static void sweep_run(struct work *work)
{
	struct sweep *s = container_of(work, struct sweep, work);

	s->ok = verify_sweep(s->verify, &s->result, &s->err);
}

static void sweep_done(struct work *work, void *owner)
{
	struct sweep *s = container_of(work, struct sweep, work);
	struct qmgr *q = owner;

	q->sweeping = false;
	if (s->ok)
		log_info("cache %s full cleanup: retained=%zu dropped=%zu entries", verify_name(s->verify),
			s->result.retained, s->result.dropped);
	else
		log_warning("%s", s->err.text);
	x_free(&s);
}

void probe_tick(struct qmgr *q, int64_t now)
{
	int interval = q->verify ? verify_sweep_interval(q->verify) : 0;
	struct sweep *s;

	if (interval == 0 || q->sweeping || now < q->next_sweep)
		return;
	/* The first time is after one interval: what nobody uses is not looked at. */
	if (q->next_sweep > 0) {
		q->sweeping = true;
		s = x_alloc(sizeof(*s));
		s->verify = q->verify;
		s->work.run = sweep_run;
		s->work.done = sweep_done;
		work_submit(q->workers, &s->work);
	}
	q->next_sweep = now + interval * NS_PER_SEC;
}
