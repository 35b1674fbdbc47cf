/* proxy:type:name: the tables are in this process already, so it is the inner table. What the inner one needs
 * with each lookup may be out of reach in a jail; proxymap(8) was never in one. */
#include "table/table_type.h"

static bool proxy_open(struct table *t, const char *name, struct err *err)
{
	struct table *inner = table_open(name, t->flags, err);

	t->state = inner;
	if (!inner)
		return false;
	t->pattern = inner->pattern;
	t->remote = inner->remote;
	if (t->remote)
		table_ask_outside(t);
	table_pass_warnings(t, inner);
	return true;
}

static void proxy_close(struct table *t)
{
	table_close((struct table **)&t->state);
}

static enum table_status proxy_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	return table_lookup(t->state, key, value, err);
}

static enum table_status proxy_each(struct table *t, table_entry_fn entry, void *arg, struct err *err)
{
	return table_each(t->state, entry, arg, err);
}

const struct table_type table_type_proxy = {.name = "proxy",
	.open = proxy_open,
	.close = proxy_close,
	.lookup = proxy_lookup,
	.each = proxy_each};
