/* inline:{ key=value, { key = text with blanks } }: the table is its own name. */
#include "table/table_type.h"

static bool inline_bad(struct table *t, const char *what, struct err *err)
{
	return err_set(err, "%s: \"%s\"; need \"inline:{name=value...}\"", what, t->spec);
}

static bool inline_add(struct table *t, struct str item, struct err *err)
{
	ptrdiff_t equals = str_find(item, '=');
	struct str name = str_trim(str_first(item, equals < 0 ? 0 : (size_t)equals));
	struct str text = str_trim(str_from(item, (size_t)equals + 1));
	struct buf key = BUF(2 * TABLE_KEY_MAX), value = BUF(TABLE_VALUE_MAX);
	bool ok;

	if (equals < 0)
		return inline_bad(t, "missing '=' after attribute name", err);
	if (name.n == 0)
		return inline_bad(t, "missing attribute name", err);
	if (t->flags & TABLE_FOLD)
		table_fold(name, &key);
	else
		buf_str(&key, name);
	ok = table_value(t, text, &value, err);
	if (ok)
		entries_add(t->state, buf_slice(&key), buf_slice(&value), true);
	buf_free(&key);
	buf_free(&value);
	return ok;
}

static bool inline_item(struct table *t, struct str item, struct err *err)
{
	struct err why;

	if (item.p[0] != '{')
		return inline_add(t, item, err);
	if (!source_braces(item, &item, &why))
		return inline_bad(t, why.text, err);
	return inline_add(t, item, err);
}

static bool inline_open(struct table *t, const char *name, struct err *err)
{
	struct str rest, item;

	t->state = hash_new(entries_free);
	if (!source_braces(str_c(name), &rest, NULL))
		return inline_bad(t, "bad syntax", err);
	while (str_group(&rest, ", \t\r\n", &item)) {
		if (!inline_item(t, item, err))
			return false;
	}
	return hash_count(t->state) > 0 || inline_bad(t, name[1] == '}' ? "bad syntax" : "empty table", err);
}

static void inline_close(struct table *t)
{
	hash_free((struct hash **)&t->state);
}

static enum table_status inline_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	return entries_lookup(t->state, key, value);
}

static enum table_status inline_each(struct table *t, table_entry_fn entry, void *arg, struct err *err)
{
	return entries_each(t->state, entry, arg);
}

const struct table_type table_type_inline = {.name = "inline",
	.open = inline_open,
	.close = inline_close,
	.lookup = inline_lookup,
	.each = inline_each};
