/* static:value or static:{ value with blanks }: every key has this value. */
#include "base/mem.h"
#include "table/table_type.h"

static bool static_open(struct table *t, const char *name, struct err *err)
{
	struct str text = str_c(name);
	struct buf *value = x_alloc(sizeof(*value));
	struct err why;

	buf_init(value, TABLE_VALUE_MAX);
	t->state = value;
	if (name[0] == '{' && !source_braces(text, &text, &why))
		return err_set(err, "bad static:name syntax: %s", why.text);
	return table_value(t, text, value, err);
}

static void static_close(struct table *t)
{
	buf_free(t->state);
	x_free(&t->state);
}

static enum table_status static_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	buf_str(value, buf_slice(t->state));
	return TABLE_FOUND;
}

const struct table_type table_type_static = {
	.name = "static", .open = static_open, .close = static_close, .lookup = static_lookup};
