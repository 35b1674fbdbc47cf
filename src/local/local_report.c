/* Destinations of an alias or .forward file that failed: their own addresses are told, and to the list's
 * owner where there is one, so the report is made here and not by the queue manager. */
#include "base/log.h"
#include "local/local.h"

static struct envelope envelope_of(const struct local_plan *plan, const char *sender, size_t room)
{
	const struct delivery_request *r = plan->agent->request;
	struct envelope e = {
		.id = r->qid,
		.arrival_us = r->arrival_us,
		.sender = sender,
		.envid = r->envid,
		.ret = r->ret,
		.flags = r->flags,
		.attributes = r->attributes,
		.attribute_count = r->attribute_count,
		.content_size = r->content_size,
	};

	e.recipients = pool_alloc(plan->pool, room * sizeof(*e.recipients));
	return e;
}

static bool is_failed(const struct local_leaf *leaf)
{
	return leaf->dsn && leaf->dsn->action == DSN_FAILED;
}

static void add_recipient(const struct local_plan *plan, const struct local_leaf *leaf, struct envelope *e)
{
	const bool owned = leaf->where.owner;

	e->recipients[e->recipient_count++] = (struct spool_recipient){
		.address = leaf->where.name.address,
		.original = leaf->where.original,
		.orcpt = owned ? NULL : plan->recipient->orcpt,
		.notify = owned ? 0 : plan->recipient->notify,
		.last = leaf->dsn,
	};
}

static bool report_to(struct local_plan *plan, const char *sender, size_t first)
{
	struct envelope e = envelope_of(plan, sender, plan->count);
	uint32_t *indexes = pool_alloc(plan->pool, plan->count * sizeof(*indexes));
	struct queue_id id = {""};
	struct err err = {""};

	for (size_t i = first; i < plan->count; i++) {
		if (is_failed(&plan->leaves[i]) && strcmp(plan->leaves[i].where.sender, sender) == 0) {
			indexes[e.recipient_count] = (uint32_t)e.recipient_count;
			add_recipient(plan, &plan->leaves[i], &e);
		}
	}
	if (bounce_send(&plan->env->bounce, BOUNCE_FAILURE, plan->agent->request->queue, &e, indexes,
		    e.recipient_count, &id, &err))
		return true;
	log_warning("%s: cannot make a delivery report: %s", plan->agent->request->qid.text, err.text);
	return false;
}

static bool reported_before(const struct local_plan *plan, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (is_failed(&plan->leaves[k]) &&
			strcmp(plan->leaves[k].where.sender, plan->leaves[i].where.sender) == 0)
			return true;
	return false;
}

bool local_report(struct local_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		if (is_failed(&plan->leaves[i]) && !reported_before(plan, i) &&
			!report_to(plan, plan->leaves[i].where.sender, i))
			return false;
	}
	return true;
}
