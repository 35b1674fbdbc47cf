/* unionmap:{type:name, ...}: the results of all tables that have the key, joined by commas. */
#include "table/table_multi.h"

static enum table_status unionmap_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	const struct multi *m = t->state;
	size_t before = value->len;

	for (size_t i = 0; i < m->count; i++) {
		struct buf one = BUF(TABLE_VALUE_MAX);
		enum table_status status = table_lookup(m->members[i], key, &one, err);

		if (status == TABLE_FOUND && value->len > before)
			buf_putc(value, ',');
		if (status == TABLE_FOUND)
			buf_str(value, buf_slice(&one));
		buf_free(&one);
		if (status != TABLE_FOUND && status != TABLE_NOT_FOUND) {
			buf_truncate(value, before);
			return status;
		}
	}
	return value->len > before ? TABLE_FOUND : TABLE_NOT_FOUND;
}

const struct table_type table_type_unionmap = {
	.name = "unionmap", .open = multi_open, .close = multi_close, .lookup = unionmap_lookup};
