/* fail:name: every lookup fails; for tests. */
#include "table/table_type.h"

static bool fail_open(struct table *t, const char *name, struct err *err)
{
	return true;
}

static enum table_status fail_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	err_set(err, "%s lookup error for \"" STR_FMT "\"", t->spec, STR_ARG(str_first(key, 100)));
	return TABLE_RETRY;
}

static enum table_status fail_each(struct table *t, table_entry_fn entry, void *arg, struct err *err)
{
	err_set(err, "%s: listing failed", t->spec);
	return TABLE_RETRY;
}

const struct table_type table_type_fail = {
	.name = "fail", .open = fail_open, .lookup = fail_lookup, .each = fail_each};
