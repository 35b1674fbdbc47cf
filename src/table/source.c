#include "base/sys.h"
#include "table/table_type.h"
#include <ctype.h>

static void source_init(struct source *s)
{
	*s = (struct source){.text = BUF(SOURCE_MAX), .buf = BUF(SOURCE_MAX)};
}

bool source_open(struct source *s, const char *path, struct err *err)
{
	source_init(s);
	if (!sys_read_file(path, &s->text, err)) {
		source_close(s);
		return false;
	}
	s->reader = logical_of(buf_slice(&s->text));
	return true;
}

void source_of(struct source *s, struct buf *text)
{
	source_init(s);
	s->text = *text;
	*text = BUF(text->max);
	s->reader = logical_of(buf_slice(&s->text));
}

void source_close(struct source *s)
{
	buf_free(&s->text);
	buf_free(&s->buf);
}

bool source_next(struct source *s, struct str *logical)
{
	if (!logical_next(&s->reader, &s->buf, &s->line))
		return false;
	*logical = str_strip(str_until(s->line.text, '\0'));
	return true;
}

void source_warn_orphan(struct table *t, const char *path, const struct source *s)
{
	table_warn(t, "%s, line %d: logical line must not start with whitespace: \"%.30s\"", path,
		s->line.first, s->line.text.p);
}

/* The index of the brace that closes the one at 0, or -1. */
static ptrdiff_t closing_brace(struct str s)
{
	size_t depth = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '{')
			depth++;
		else if (s.p[i] == '}' && --depth == 0)
			return (ptrdiff_t)i;
	}
	return -1;
}

bool source_braces(struct str group, struct str *inside, struct err *err)
{
	ptrdiff_t end = group.n && group.p[0] == '{' ? closing_brace(group) : -1;

	if (group.n && group.p[0] != '{')
		return err_set(err, "no '{' at start of text in \"" STR_FMT "\"", STR_ARG(group));
	if (end < 0)
		return err_set(err, "missing '}' in \"" STR_FMT "\"", STR_ARG(group));
	if ((size_t)end + 1 != group.n)
		return err_set(err, "syntax error after '}' in \"" STR_FMT "\"", STR_ARG(group));
	*inside = str_strip(str_first(str_from(group, 1), (size_t)end - 1));
	return true;
}

bool source_inline(struct source *s, struct str groups, struct err *err)
{
	struct str rest, rule, inside;

	source_init(s);
	if (!source_braces(groups, &rest, err))
		return false;
	while (str_group(&rest, ", \t\r\n", &rule)) {
		if (!source_braces(rule, &inside, err)) {
			source_close(s);
			return false;
		}
		buf_str(&s->text, inside);
		buf_putc(&s->text, '\n');
	}
	s->reader = logical_of(buf_slice(&s->text));
	return true;
}

/* The length of the key: up to a blank that is not inside quotes; *closed: every quote has its partner. */
static size_t pair_key_length(struct str line, bool *closed)
{
	bool quoted = false;
	size_t n = 0;

	for (; n < line.n; n++) {
		if (line.p[n] == '\\' && n + 1 < line.n)
			n++;
		else if (line.p[n] == '"')
			quoted = !quoted;
		else if (!quoted && isspace((unsigned char)line.p[n]))
			break;
	}
	*closed = !quoted;
	return n;
}

enum source_pair source_pair(struct str line, struct str *key, struct str *value)
{
	bool closed;

	*key = str_first(line, pair_key_length(line, &closed));
	*value = str_from(line, key->n);
	while (value->n && isspace((unsigned char)value->p[0]))
		*value = str_from(*value, 1);
	while (value->n && isspace((unsigned char)value->p[value->n - 1]))
		value->n--;
	if (!closed)
		return PAIR_UNBALANCED;
	return value->n && key->n ? PAIR_OK : PAIR_NO_VALUE;
}
