/* What would be done for a recipient, told without doing it: the answer to an address probe. */
#include "local/local.h"

static const struct dsn *good(struct local_plan *plan, const char *what, const char *text)
{
	return dsn_make(plan->pool, DSN_DELIVERED, "2.0.0", "%s%s", what, text);
}

static const struct dsn *would_do(struct local_plan *plan, const struct local_leaf *leaf)
{
	switch (leaf->kind) {
	case LEAF_MAILBOX:
		return good(plan, "delivers to mailbox", "");
	case LEAF_COMMAND:
		return good(plan, "delivers to command: ", leaf->text);
	case LEAF_FILE:
		return good(plan, "delivers to file: ", leaf->text);
	case LEAF_ADDRESS:
		return good(plan, "forwards to ", leaf->text);
	case LEAF_PASS:
		return good(plan, "passes to transport ", leaf->text);
	case LEAF_FAILED:
		break;
	}
	return leaf->dsn;
}

static const struct dsn *find_out(struct local_plan *plan)
{
	if (plan->trouble)
		return plan->trouble;
	if (plan->count == 0)
		return dsn_make(plan->pool, DSN_FAILED, "5.2.0", "no destination");
	if (plan->count > 1)
		return good(plan, "aliased to multiple recipients", "");
	return would_do(plan, plan->leaves);
}

void local_probe(struct local_plan *plan)
{
	plan->seen = hash_new(NULL);
	local_expand(plan);
	agent_outcome(plan->agent, plan->index, find_out(plan), "local", 0);
	hash_free(&plan->seen);
}
