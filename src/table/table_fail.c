/* fail:name: everything fails; for tests. */
#include "table/table_type.h"

#define FAILURE "Application error"

static bool fail_open(struct table *t, const char *name, struct err *err)
{
	return true;
}

static enum table_status fail_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	err_set(err, FAILURE);
	return TABLE_RETRY;
}

static enum table_status fail_each(struct table *t, table_entry_fn entry, void *arg, struct err *err)
{
	err_set(err, "sequence error: " FAILURE);
	return TABLE_RETRY;
}

static bool fail_begin(struct table_builder *b, const char *type, const char *name, struct err *err)
{
	return true;
}

static enum table_build_result fail_put(
	struct table_builder *b, struct str key, struct str value, struct err *err)
{
	err_set(err, FAILURE);
	return BUILD_FAILED;
}

static enum table_status fail_remove(struct table_builder *b, struct str key, struct err *err)
{
	err_set(err, FAILURE);
	return TABLE_RETRY;
}

static bool fail_commit(struct table_builder *b, struct err *err)
{
	return err_set(err, FAILURE);
}

static void fail_abort(struct table_builder *b)
{
}

static const struct table_build_type fail_build = {.begin = fail_begin,
	.put = fail_put,
	.remove = fail_remove,
	.commit = fail_commit,
	.abort = fail_abort};

const struct table_type table_type_fail = {
	.name = "fail", .open = fail_open, .lookup = fail_lookup, .each = fail_each, .build = &fail_build};
