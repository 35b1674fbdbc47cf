/* randmap:{value, ...}: one of the values, at random. */
#include "base/mem.h"
#include "base/sys.h"
#include "table/table_type.h"

struct randmap {
	struct buf *values;
	size_t count;
};

static bool randmap_bad(const struct table *t, struct err *err)
{
	return err_set(err, "bad syntax: \"%s\"; need \"randmap:{value...}\"", t->spec);
}

static bool randmap_add(struct table *t, struct str word, struct err *err)
{
	struct randmap *m = t->state;

	if (word.p[0] == '{' && !source_braces(word, &word, NULL))
		return randmap_bad(t, err);
	m->values = x_realloc(m->values, (m->count + 1) * sizeof(*m->values));
	buf_init(&m->values[m->count], TABLE_VALUE_MAX);
	return table_value(t, word, &m->values[m->count++], err);
}

static bool randmap_open(struct table *t, const char *name, struct err *err)
{
	struct randmap *m = x_alloc(sizeof(*m));
	struct str rest, word;

	t->state = m;
	if (!source_braces(str_c(name), &rest, NULL))
		return randmap_bad(t, err);
	while (str_group(&rest, ", \t\r\n", &word)) {
		if (!randmap_add(t, word, err))
			return false;
	}
	return m->count > 0 || randmap_bad(t, err);
}

static void randmap_close(struct table *t)
{
	struct randmap *m = t->state;

	for (size_t i = 0; i < m->count; i++)
		buf_free(&m->values[i]);
	x_free(&m->values);
	x_free(&t->state);
}

static enum table_status randmap_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	const struct randmap *m = t->state;
	uint64_t random;

	sys_random(&random, sizeof(random));
	buf_str(value, buf_slice(&m->values[random % m->count]));
	return TABLE_FOUND;
}

const struct table_type table_type_randmap = {.name = "randmap",
	.pattern = true,
	.open = randmap_open,
	.close = randmap_close,
	.lookup = randmap_lookup};
