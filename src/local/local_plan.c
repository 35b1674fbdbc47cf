#include "base/log.h"
#include "local/local.h"
#include "mail/address.h"
#include <unistd.h>

const struct deliver_user *local_rights(const struct local_env *env, const struct local_where *where)
{
	bool usable = where->rights && where->rights->uid != 0 && geteuid() == 0;

	return usable ? where->rights : &env->default_rights;
}

/* What makes two destinations one: for whom, and what. Case is no difference between addresses, nor is it
 * whether their mail is delivered here or sent on. */
static char *leaf_key(const struct local_plan *plan, enum local_kind kind, const char *text,
	const struct local_where *where)
{
	char *key;

	switch (kind) {
	case LEAF_COMMAND:
	case LEAF_FILE:
		return pool_printf(
			plan->pool, "%d %u %s", (int)kind, local_rights(plan->env, where)->uid, text);
	case LEAF_MAILBOX:
	case LEAF_PASS:
	case LEAF_ADDRESS:
		key = pool_printf(
			plan->pool, "address %s", kind == LEAF_ADDRESS ? text : where->name.address);
		ascii_lower(key);
		return key;
	default:
		return pool_printf(plan->pool, "%d %s %s", (int)kind, where->name.address, text);
	}
}

/* duplicate_filter_limit bounds what is remembered; 0: everything is. */
static bool is_new(struct local_plan *plan, const char *key)
{
	int limit = plan->env->cfg->duplicate_filter_limit;

	if (hash_get(plan->seen, str_c(key)))
		return false;
	if (limit <= 0 || hash_count(plan->seen) < (size_t)limit)
		hash_put(plan->seen, str_c(key), plan);
	return true;
}

struct local_leaf *local_plan_add(
	struct local_plan *plan, enum local_kind kind, const char *text, const struct local_where *where)
{
	if (!is_new(plan, leaf_key(plan, kind, text, where)))
		return NULL;
	if (plan->count == plan->cap) {
		struct local_leaf *more = pool_alloc(plan->pool, (2 * plan->cap + 4) * sizeof(*more));

		if (plan->count > 0)
			memcpy(more, plan->leaves, plan->count * sizeof(*more));
		plan->leaves = more;
		plan->cap = 2 * plan->cap + 4;
	}
	plan->leaves[plan->count] = (struct local_leaf){.kind = kind, .text = text, .where = *where};
	return &plan->leaves[plan->count++];
}

void local_plan_fail(struct local_plan *plan, const struct local_where *where, const struct dsn *dsn)
{
	struct local_leaf *leaf = local_plan_add(plan, LEAF_FAILED, dsn->reason, where);

	if (leaf)
		leaf->dsn = dsn;
}
