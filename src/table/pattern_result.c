#include "table/table_pattern.h"
#include <ctype.h>

/* Takes the name of "$name", "${name}" or "$(name)", the dollar taken already. */
static bool name_take(struct str *rest, struct str *name)
{
	size_t n = 0;
	ptrdiff_t end;

	if (rest->n && (rest->p[0] == '{' || rest->p[0] == '(')) {
		end = str_find(*rest, rest->p[0] == '{' ? '}' : ')');
		if (end < 0)
			return false;
		*name = str_first(str_from(*rest, 1), (size_t)end - 1);
		*rest = str_from(*rest, (size_t)end + 1);
		return true;
	}
	while (n < rest->n && (isalnum((unsigned char)rest->p[n]) || rest->p[n] == '_'))
		n++;
	*name = str_first(*rest, n);
	*rest = str_from(*rest, n);
	return true;
}

/* The text up to the next $ goes to out (which may be NULL); false: no $ is left. */
static bool text_take(struct str *rest, struct buf *out)
{
	ptrdiff_t dollar = str_find(*rest, '$');
	struct str text = dollar < 0 ? *rest : str_first(*rest, (size_t)dollar);

	if (out)
		buf_str(out, text);
	*rest = str_from(*rest, text.n + (dollar >= 0));
	return dollar >= 0;
}

static bool escaped_take(struct str *rest, struct buf *out)
{
	if (rest->n == 0 || rest->p[0] != '$')
		return false;
	*rest = str_from(*rest, 1);
	if (out)
		buf_putc(out, '$');
	return true;
}

int pattern_result_check(struct str text, size_t *highest, struct err *err)
{
	struct str rest = text, name;
	uint64_t group;
	int kind = RESULT_PLAIN;

	*highest = 0;
	while (text_take(&rest, NULL)) {
		kind = RESULT_GROUPS;
		if (escaped_take(&rest, NULL))
			continue;
		if (!name_take(&rest, &name))
			err_set(err, "truncated macro reference: \"" STR_FMT "\"", STR_ARG(text));
		else if (name.n == 0)
			err_set(err, "empty macro name: \"" STR_FMT "\"", STR_ARG(text));
		else if (!str_to_u64(name, INT32_MAX, &group))
			err_set(err, "non-numeric replacement index \"" STR_FMT "\"", STR_ARG(name));
		else if (group == 0)
			err_set(err, "out of range replacement index \"" STR_FMT "\"", STR_ARG(name));
		else {
			*highest = group > *highest ? group : *highest;
			continue;
		}
		return RESULT_BAD;
	}
	return kind;
}

void pattern_result_expand(struct str text, const struct pattern_match *m, struct buf *out)
{
	struct str name;
	uint64_t group;

	while (text_take(&text, out)) {
		const struct pattern_group *g;

		if (escaped_take(&text, out) || !name_take(&text, &name))
			continue;
		if (!str_to_u64(name, PATTERN_GROUPS_MAX - 1, &group))
			continue;
		g = &m->groups[group];
		if (g->start >= 0 && g->end > g->start)
			buf_add(out, m->key.p + g->start, (size_t)(g->end - g->start));
	}
}
