/* pipemap:{type:name, ...}: each table's result is the key for the next one. */
#include "table/table_multi.h"

static enum table_status pipemap_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	const struct multi *m = t->state;
	struct buf now = BUF(TABLE_VALUE_MAX), next = BUF(TABLE_VALUE_MAX);
	enum table_status status = TABLE_FOUND;

	buf_str(&now, key);
	for (size_t i = 0; i < m->count && status == TABLE_FOUND; i++) {
		buf_clear(&next);
		status = table_lookup(m->members[i], buf_slice(&now), &next, err);
		if (status == TABLE_FOUND) {
			buf_clear(&now);
			buf_str(&now, buf_slice(&next));
		}
	}
	if (status == TABLE_FOUND)
		buf_str(value, buf_slice(&now));
	buf_free(&now);
	buf_free(&next);
	return status;
}

const struct table_type table_type_pipemap = {
	.name = "pipemap", .open = multi_open, .close = multi_close, .lookup = pipemap_lookup};
