/* debug:type:name: the table type:name, with a line in the log for each question and its answer. */
#include "table/table_type.h"

#define SHOWN 200 /* bytes of a key or value */

static void debug_report(const struct table *t, const char *what, struct str key, const char *answer)
{
	struct str shown = str_first(key, SHOWN);

	table_report(LOGL_INFO, "%s: %s \"" STR_FMT "\": %s", t->spec, what, STR_ARG(shown), answer);
}

static bool debug_open(struct table *t, const char *name, struct err *err)
{
	struct table *inner = table_open(name, t->flags, err);

	t->state = inner;
	if (!inner)
		return false;
	t->pattern = inner->pattern;
	t->remote = inner->remote;
	table_pass_warnings(t, inner);
	return true;
}

static void debug_close(struct table *t)
{
	table_close((struct table **)&t->state);
}

static void debug_found(const struct table *t, const char *what, struct str key, struct str value)
{
	struct buf answer = BUF(SHOWN + 20);

	buf_printf(&answer, "found \"" STR_FMT "\"", STR_ARG(str_first(value, SHOWN)));
	debug_report(t, what, key, buf_cstr(&answer));
	buf_free(&answer);
}

static enum table_status debug_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	const size_t before = value->len;
	struct err reason = {""};
	enum table_status status = table_lookup(t->state, key, value, &reason);

	if (status == TABLE_FOUND)
		debug_found(t, "lookup", key, str_from(buf_slice(value), before));
	else
		debug_report(t, "lookup", key, status == TABLE_NOT_FOUND ? "not found" : reason.text);
	if (err)
		*err = reason;
	return status;
}

struct debug_listing {
	struct table *table;
	table_entry_fn entry;
	void *arg;
};

static bool debug_entry(void *arg, struct str key, struct str value)
{
	struct debug_listing *l = arg;

	debug_found(l->table, "entry", key, value);
	return l->entry(l->arg, key, value);
}

static enum table_status debug_each(struct table *t, table_entry_fn entry, void *arg, struct err *err)
{
	struct debug_listing listing = {t, entry, arg};

	return table_each(t->state, debug_entry, &listing, err);
}

const struct table_type table_type_debug = {.name = "debug",
	.open = debug_open,
	.close = debug_close,
	.lookup = debug_lookup,
	.each = debug_each};
