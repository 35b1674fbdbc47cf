#include "table/table_multi.h"

#include "base/mem.h"

static bool multi_bad(const struct table *t, struct err *err)
{
	return err_set(err, "bad syntax: \"%s\"; need \"%s:{type:name...}\"", t->spec, t->type->name);
}

static bool multi_add(struct table *t, struct str word, struct err *err)
{
	struct multi *m = t->state;
	char *spec = x_strndup(word.p, word.n);
	struct table *member = table_open(spec, t->flags, err);

	x_free(&spec);
	if (!member)
		return false;
	table_pass_warnings(t, member);
	t->pattern = t->pattern || member->pattern;
	t->remote = t->remote || member->remote;
	m->members = x_realloc(m->members, (m->count + 1) * sizeof(*m->members));
	m->members[m->count++] = member;
	return true;
}

bool multi_open(struct table *t, const char *name, struct err *err)
{
	struct multi *m = x_alloc(sizeof(*m));
	struct str rest, word;

	t->state = m;
	if (!source_braces(str_c(name), &rest, NULL))
		return multi_bad(t, err);
	while (str_group(&rest, ", \t\r\n", &word)) {
		if (!multi_add(t, word, err))
			return false;
	}
	return m->count > 0 || multi_bad(t, err);
}

void multi_close(struct table *t)
{
	struct multi *m = t->state;

	for (size_t i = 0; i < m->count; i++)
		table_close(&m->members[i]);
	x_free(&m->members);
	x_free(&t->state);
}
