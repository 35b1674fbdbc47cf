/* environ:name: the environment of the process; the name means nothing. */
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "table/table_type.h"

static bool environ_open(struct table *t, const char *name, struct err *err)
{
	return true;
}

static enum table_status environ_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	char *name = x_strndup(key.p, key.n);
	const char *text = getenv(name);

	if (text)
		buf_puts(value, text);
	x_free(&name);
	return text ? TABLE_FOUND : TABLE_NOT_FOUND;
}

static enum table_status environ_each(struct table *t, table_entry_fn entry, void *arg, struct err *err)
{
	for (char **e = environ; *e; e++) {
		struct str pair = str_c(*e);
		ptrdiff_t sign = str_find(pair, '=');

		if (sign > 0 && !entry(arg, str_first(pair, (size_t)sign), str_from(pair, (size_t)sign + 1)))
			break;
	}
	return TABLE_FOUND;
}

const struct table_type table_type_environ = {
	.name = "environ", .open = environ_open, .lookup = environ_lookup, .each = environ_each};
