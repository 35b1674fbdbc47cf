#include "table/maps.h"

#include "base/mem.h"
#include "table/table_type.h"

static void maps_add(struct maps *m, struct str word, int flags)
{
	char *spec = x_strndup(word.p, word.n);

	m->tables = x_realloc(m->tables, (m->count + 1) * sizeof(*m->tables));
	m->tables[m->count++] = table_open_or_wait(spec, flags);
	x_free(&spec);
}

static bool braces_balance(struct str s)
{
	size_t depth = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '{')
			depth++;
		else if (s.p[i] == '}' && depth-- == 0)
			return false;
	}
	return depth == 0;
}

struct maps *maps_open(const char *parameter, const char *list, int flags, struct err *err)
{
	struct str rest = str_c(list), word;
	struct maps *m;

	if (!braces_balance(rest)) {
		err_set(err, "%s: unbalanced braces in \"%s\"", parameter, list);
		return NULL;
	}
	m = x_alloc(sizeof(*m));
	m->parameter = x_strdup(parameter);
	while (str_group(&rest, ", \t\r\n", &word))
		maps_add(m, word, flags);
	return m;
}

void maps_close(struct maps **mp)
{
	struct maps *m = *mp;

	if (!m)
		return;
	for (size_t i = 0; i < m->count; i++)
		table_close(&m->tables[i]);
	x_free(&m->tables);
	x_free(&m->parameter);
	x_free(mp);
}

bool maps_empty(const struct maps *m)
{
	return m->count == 0;
}

void maps_warnings(const struct maps *m, table_warn_fn warn, void *arg)
{
	for (size_t i = 0; i < m->count; i++)
		table_warnings(m->tables[i], warn, arg);
}

void maps_observe(struct maps *m, maps_observer observe, void *arg)
{
	m->observe = observe;
	m->observe_arg = arg;
}

static enum table_status ask_member(
	struct maps *m, struct table *t, struct str key, struct buf *value, struct err *err)
{
	size_t before = value->len;
	enum table_status status = table_lookup(t, key, value, err);

	if (status == TABLE_FOUND && value->len == before) {
		err_set(err, "%s lookup of " STR_FMT " returns an empty string result", m->parameter,
			STR_ARG(str_first(key, 100)));
		status = TABLE_MISCONFIGURED;
	}
	if (m->observe)
		m->observe(m->observe_arg, table_spec(t), key, status, str_from(buf_slice(value), before));
	return status;
}

static enum table_status maps_ask(
	struct maps *m, struct str key, bool part, struct buf *value, struct err *err)
{
	for (size_t i = 0; i < m->count; i++) {
		enum table_status status;

		if (part && m->tables[i]->pattern)
			continue;
		status = ask_member(m, m->tables[i], key, value, err);
		if (status == TABLE_RETRY || status == TABLE_MISCONFIGURED)
			err_prefix(err, "%s lookup error for \"" STR_FMT "\"", table_spec(m->tables[i]),
				STR_ARG(str_first(key, 100)));
		if (status != TABLE_NOT_FOUND)
			return status;
	}
	return TABLE_NOT_FOUND;
}

enum table_status maps_lookup(struct maps *m, struct str key, struct buf *value, struct err *err)
{
	return maps_ask(m, key, false, value, err);
}

enum table_status maps_lookup_part(struct maps *m, struct str key, struct buf *value, struct err *err)
{
	return maps_ask(m, key, true, value, err);
}
