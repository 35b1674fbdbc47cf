/* A recipient's plan is carried out: first what is done here, then new mail for the rest, then reports. */
#include "base/log.h"
#include "local/local.h"

static const char *qid(const struct local_plan *plan)
{
	return plan->agent->request->qid.text;
}

static const struct dsn *filtered(const struct local_plan *plan, const struct dsn *dsn)
{
	dsn = deliver_filter_status(plan->env->filter, "local_delivery_status_filter", plan->pool, dsn);
	return plan->env->cfg->soft_bounce ? dsn_soften(plan->pool, dsn) : dsn;
}

static void decide_all(struct local_plan *plan, const struct dsn *dsn)
{
	agent_outcome(plan->agent, plan->index, filtered(plan, dsn), "local", 0);
}

static void log_leaf(const struct local_plan *plan, const struct local_leaf *leaf)
{
	agent_log(plan->agent, leaf->where.name.address, leaf->where.original, leaf->dsn, "local", 0);
}

static bool is_recipients_own(const struct local_plan *plan, const struct local_leaf *leaf)
{
	return strcmp(leaf->where.name.address, plan->recipient->address) == 0 && !leaf->where.owner;
}

/* ---- another transport */

static void pass(struct local_plan *plan, const struct local_leaf *leaf)
{
	const char *colon = strchr(leaf->text, ':');
	const char *transport = pool_strndup(
		plan->pool, leaf->text, colon ? (size_t)(colon - leaf->text) : strlen(leaf->text));
	const char *nexthop = colon && colon[1] ? colon + 1 : plan->agent->request->nexthop;

	log_info("%s: passing <%s> to transport=%s", qid(plan), leaf->where.name.address, transport);
	agent_pass(plan->agent, plan->index, transport, nexthop);
}

/* ---- what is done here */

static void keep_wanted(struct local_plan *plan)
{
	size_t kept = 0;

	for (size_t i = 0; i < plan->count; i++)
		if (local_is_wanted(plan, &plan->leaves[i]))
			plan->leaves[kept++] = plan->leaves[i];
	plan->count = kept;
}

static bool is_direct(const struct local_leaf *leaf)
{
	return leaf->kind == LEAF_MAILBOX || leaf->kind == LEAF_COMMAND || leaf->kind == LEAF_FILE;
}

static void deliver_directly(struct local_plan *plan)
{
	for (size_t i = 0; i < plan->count && !plan->corrupt; i++) {
		struct local_leaf *leaf = &plan->leaves[i];

		if (is_direct(leaf))
			leaf->dsn = local_leaf_deliver(plan, leaf);
		if (leaf->dsn)
			leaf->dsn = filtered(plan, leaf->dsn);
	}
}

/* ---- what waits */

static bool waits(const struct local_leaf *leaf)
{
	return leaf->kind == LEAF_PASS || (leaf->dsn && leaf->dsn->action == DSN_DELAYED);
}

static size_t count_waiting(const struct local_plan *plan)
{
	size_t n = 0;

	for (size_t i = 0; i < plan->count; i++)
		n += waits(&plan->leaves[i]);
	return n;
}

static const struct dsn *first_delay(const struct local_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		if (plan->leaves[i].dsn && plan->leaves[i].dsn->action == DSN_DELAYED)
			return plan->leaves[i].dsn;
	return NULL;
}

static void log_forwarded(const struct local_plan *plan, const struct queue_id *id)
{
	agent_log(plan->agent, plan->recipient->address, plan->recipient->original,
		dsn_make(plan->pool, DSN_DELIVERED, "2.0.0", "forwarded as %s", id->text), "local", 0);
}

/* Each group of addresses is one new message. NULL: all are in the queue. */
static const struct dsn *forward_addresses(struct local_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		struct local_leaf *leaf = &plan->leaves[i];
		struct queue_id id = {""};
		const struct dsn *trouble;
		bool done = false;

		for (size_t k = 0; k < i && !done; k++)
			done = local_same_message(&plan->leaves[k], leaf);
		if (leaf->kind != LEAF_ADDRESS || done)
			continue;
		trouble = local_resend_addresses(plan, leaf, &id);
		if (trouble)
			return trouble;
		log_forwarded(plan, &id);
	}
	return NULL;
}

static const struct dsn *put_waiting_aside(struct local_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		struct queue_id id = {""};
		const struct dsn *trouble;

		if (!waits(&plan->leaves[i]))
			continue;
		trouble = local_resend_leaf(plan, &plan->leaves[i], &id);
		if (trouble)
			return trouble;
		log_forwarded(plan, &id);
	}
	return NULL;
}

/* ---- together */

/* The only destination is the recipient's own: its outcome is the recipient's. */
static bool settle_single(struct local_plan *plan)
{
	const struct local_leaf *leaf = plan->leaves;

	if (plan->count != 1 || !is_recipients_own(plan, leaf))
		return false;
	if (leaf->kind == LEAF_PASS)
		pass(plan, leaf);
	else if (leaf->kind == LEAF_ADDRESS)
		return false;
	else
		agent_outcome(plan->agent, plan->index, leaf->dsn, "local", 0);
	return true;
}

static const struct dsn *settle_rest(struct local_plan *plan)
{
	const struct dsn *trouble = forward_addresses(plan);

	if (!trouble)
		trouble = put_waiting_aside(plan);
	if (!trouble && !local_report(plan))
		trouble = dsn_make(plan->pool, DSN_DELAYED, "4.3.0", "cannot make a delivery report");
	return trouble;
}

static const struct dsn *expanded(const struct local_plan *plan)
{
	return dsn_make(plan->pool, plan->owned ? DSN_DELIVERED : DSN_EXPANDED, "2.0.0",
		"delivery via local: alias expanded");
}

static void settle(struct local_plan *plan)
{
	const struct dsn *trouble;

	if (settle_single(plan))
		return;
	for (size_t i = 0; i < plan->count; i++)
		if (plan->leaves[i].dsn)
			log_leaf(plan, &plan->leaves[i]);
	if (count_waiting(plan) == plan->count && first_delay(plan)) {
		agent_decide(plan->agent, plan->index, first_delay(plan));
		return;
	}
	trouble = settle_rest(plan);
	if (trouble)
		decide_all(plan, trouble);
	else
		agent_decide(plan->agent, plan->index, expanded(plan));
}

/* NULL: no loop. */
static const struct dsn *check_loop(struct local_plan *plan)
{
	const char *address = plan->recipient->address;
	struct err err = {""};
	bool found = false;
	enum spool_status status = deliver_content_delivered_to(plan->reader, address, &found, &err);

	plan->corrupt = status == SPOOL_CORRUPT;
	if (status != SPOOL_OK)
		return dsn_make(plan->pool, DSN_DELAYED, "4.3.0", "cannot read the message: %s", err.text);
	if (!found)
		return NULL;
	return dsn_make(plan->pool, DSN_FAILED, "5.4.6", "mail forwarding loop for %s", address);
}

static void carry_out(struct local_plan *plan)
{
	keep_wanted(plan);
	if (plan->count == 0) {
		decide_all(plan,
			dsn_make(plan->pool, DSN_FAILED, "5.2.0", "the destination is not there any more"));
		return;
	}
	deliver_directly(plan);
	if (!plan->corrupt)
		settle(plan);
}

void local_recipient(struct local_plan *plan)
{
	const struct dsn *loop = check_loop(plan);

	if (loop) {
		decide_all(plan, loop);
		return;
	}
	plan->seen = hash_new(NULL);
	local_expand(plan);
	if (plan->trouble)
		decide_all(plan, plan->trouble);
	else
		carry_out(plan);
	hash_free(&plan->seen);
}
