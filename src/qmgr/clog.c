/* The warning that one destination takes up most of the active queue (qmgr_clog_warn_time). */
#include "base/clock.h"
#include "base/log.h"
#include "qmgr/qmgr.h"

#define CLOG_PART 5 /* a destination clogs the queue when more than one in so many messages waits for it */

static struct dest *larger(struct dest *a, struct dest *b)
{
	return a == NULL || b->waiting > a->waiting ? b : a;
}

static struct dest *largest_in(const struct transport *t, struct dest *so_far)
{
	size_t pos = 0;
	struct str key;
	void *value;

	while (hash_next(t->dests, &pos, &key, &value))
		so_far = larger(so_far, value);
	return so_far;
}

static struct dest *largest(const struct qmgr *q)
{
	struct dest *d = NULL;
	size_t pos = 0;
	struct str key;
	void *value;

	while (hash_next(q->sched.transports, &pos, &key, &value))
		d = largest_in(value, d);
	return d;
}

static void warn(const struct qmgr *q, const struct dest *d)
{
	log_warning("mail for %s is using up %zu of %zu active queue entries", d->key, d->waiting,
		q->active_count);
	if (!q->cfg->helpful_warnings)
		return;
	log_warning("you may need to increase %s_destination_concurrency_limit, now %d; or to give it a "
		    "transport of its own",
		d->transport->name, d->transport->set.feedback.limit);
}

void clog_tick(struct qmgr *q, int64_t now)
{
	const struct dest *d;

	if (q->cfg->qmgr_clog_warn_time <= 0 || now < q->next_clog_warning ||
		q->active_count < (size_t)q->cfg->qmgr_message_active_limit)
		return;
	d = largest(q);
	if (d == NULL || d->waiting <= q->active_count / CLOG_PART)
		return;
	warn(q, d);
	q->next_clog_warning = now + q->cfg->qmgr_clog_warn_time * NS_PER_SEC;
}
