#include "base/mem.h"
#include "commands/postconf.h"

static bool take_part(struct pattern *p, struct str part)
{
	if (part.n == 0 || (str_find(part, '*') >= 0 && part.n > 1))
		return false;
	p->part[p->parts++] = x_strndup(part.p, part.n);
	return true;
}

bool postconf_pattern(const char *text, size_t max_parts, bool with_value, struct pattern *p)
{
	struct str rest = str_c(text);
	ptrdiff_t equals = with_value ? str_find(rest, '=') : -1;
	bool ok = true;

	*p = (struct pattern){.parts = 0};
	if (equals >= 0) {
		struct str value = str_trim(str_from(rest, (size_t)equals + 1));

		p->value = x_strndup(value.p, value.n);
		rest = str_trim(str_first(rest, (size_t)equals));
	}
	while (ok && p->parts + 1 < max_parts && str_find(rest, '/') >= 0) {
		size_t n = (size_t)str_find(rest, '/');

		ok = take_part(p, str_first(rest, n));
		rest = str_from(rest, n + 1);
	}
	if (ok && str_find(rest, '/') < 0 && take_part(p, rest))
		return true;
	postconf_pattern_clear(p);
	return false;
}

void postconf_pattern_clear(struct pattern *p)
{
	for (size_t i = 0; i < p->parts; i++)
		x_free(&p->part[i]);
	x_free(&p->value);
	p->parts = 0;
}

static bool matches_part(const struct pattern *p, size_t i, const char *text)
{
	return i >= p->parts || strcmp(p->part[i], "*") == 0 || strcmp(p->part[i], text) == 0;
}

bool postconf_matches(const struct pattern *p, const struct master_entry *e)
{
	return matches_part(p, 0, e->fields[FIELD_NAME]) && matches_part(p, 1, e->fields[FIELD_TYPE]);
}
