#include <ctype.h>

#include "base/sys.h"
#include "table/table_type.h"

static void source_init(struct source *s)
{
	*s = (struct source){.text = BUF(TABLE_SOURCE_MAX), .logical = BUF(TABLE_SOURCE_MAX)};
}

bool source_open(struct source *s, const char *path, struct err *err)
{
	source_init(s);
	if (sys_read_file(path, &s->text, err))
		return true;
	source_close(s);
	return false;
}

void source_of(struct source *s, struct str text)
{
	source_init(s);
	buf_str(&s->text, text);
}

void source_close(struct source *s)
{
	buf_free(&s->text);
	buf_free(&s->logical);
}

static bool line_take(struct source *s, struct str *line)
{
	struct str rest = str_from(buf_slice(&s->text), s->at);
	ptrdiff_t end = str_find(rest, '\n');

	if (rest.n == 0)
		return false;
	*line = end < 0 ? rest : str_first(rest, (size_t)end);
	s->at += line->n + (end >= 0);
	s->line++;
	return true;
}

static bool line_is_empty(struct str line)
{
	line = str_trim(line);
	return line.n == 0 || line.p[0] == '#';
}

static bool line_is_indented(struct str line)
{
	return line.n && isspace((unsigned char)line.p[0]);
}

/* Adds the lines that continue the logical line; empty and comment lines between do not end it. */
static void add_continuations(struct source *s)
{
	for (;;) {
		size_t at = s->at;
		int count = s->line;
		struct str line;

		if (!line_take(s, &line))
			return;
		if (line_is_empty(line))
			continue;
		if (!line_is_indented(line)) {
			s->at = at;
			s->line = count;
			return;
		}
		buf_str(&s->logical, line);
	}
}

bool source_next(struct source *s, struct str *logical)
{
	struct str line;

	do {
		if (!line_take(s, &line))
			return false;
	} while (line_is_empty(line));
	buf_clear(&s->logical);
	s->first = s->line;
	s->indented = line_is_indented(line);
	buf_str(&s->logical, line);
	add_continuations(s);
	*logical = str_trim(buf_slice(&s->logical));
	return true;
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

	if (end < 0)
		return err_set(err, "missing '}' in \"" STR_FMT "\"", STR_ARG(group));
	if ((size_t)end + 1 != group.n)
		return err_set(err, "syntax error after '}' in \"" STR_FMT "\"", STR_ARG(group));
	*inside = str_trim(str_first(str_from(group, 1), (size_t)end - 1));
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
	return true;
}

/* Unquotes "key" at the start of *line; false: the closing quote is missing. */
static bool pair_quoted_key(struct str *line, struct buf *key)
{
	for (size_t i = 1; i < line->n; i++) {
		if (line->p[i] == '"') {
			*line = str_from(*line, i + 1);
			return true;
		}
		if (line->p[i] == '\\' && i + 1 < line->n)
			i++;
		buf_putc(key, line->p[i]);
	}
	return false;
}

enum source_pair source_pair(struct str line, struct buf *key, struct str *value)
{
	size_t n = 0;

	buf_clear(key);
	if (line.n && line.p[0] == '"') {
		if (!pair_quoted_key(&line, key))
			return PAIR_UNBALANCED;
	} else {
		while (n < line.n && !isspace((unsigned char)line.p[n]))
			n++;
		buf_add(key, line.p, n);
		line = str_from(line, n);
	}
	*value = str_trim(line);
	return value->n && key->len ? PAIR_OK : PAIR_NO_VALUE;
}
