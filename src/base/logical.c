#include "base/logical.h"

static struct str physical(struct str rest)
{
	ptrdiff_t end = str_find(rest, '\n');

	return str_first(rest, end < 0 ? rest.n : (size_t)end + 1);
}

static bool skippable(struct str line)
{
	struct str text = str_strip(line);

	return text.n == 0 || text.p[0] == '#';
}

static void take(struct logical_reader *r, struct str line)
{
	r->rest = str_from(r->rest, line.n);
	r->line++;
}

static void add(struct buf *buf, struct str line)
{
	while (line.n && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
		line.n--;
	if (!buf_str(buf, line))
		buf_str(buf, str_first(line, buf->max - buf->len));
}

/* Adds the continuations; comment and empty lines between them are taken with them, those after the last one
 * are left. */
static void add_continuations(struct logical_reader *r, struct buf *buf, struct logical_line *out)
{
	struct logical_reader at = *r;

	while (at.rest.n) {
		struct str line = physical(at.rest);

		if (!skippable(line) && !ascii_is_space(line.p[0]))
			return;
		take(&at, line);
		if (skippable(line))
			continue;
		add(buf, line);
		*r = at;
		out->last = at.line;
	}
}

struct logical_reader logical_of(struct str content)
{
	return (struct logical_reader){content, 0};
}

bool logical_next(struct logical_reader *r, struct buf *buf, struct logical_line *out)
{
	struct str line;

	buf_clear(buf);
	do {
		if (r->rest.n == 0)
			return false;
		line = physical(r->rest);
		take(r, line);
	} while (skippable(line));
	*out = (struct logical_line){.first = r->line, .last = r->line, .orphan = ascii_is_space(line.p[0])};
	add(buf, line);
	add_continuations(r, buf, out);
	while (buf->len && ascii_is_space(buf->data[buf->len - 1]))
		buf_truncate(buf, buf->len - 1);
	out->text = buf_slice(buf);
	return true;
}
