/* texthash:/file: postmap(1) source, read into memory without building an index. */
#include "base/mem.h"
#include "base/utf8.h"
#include "table/table_watch.h"

static bool texthash_add(
	struct table *t, const char *path, int line, struct str key, struct str text, struct err *err)
{
	struct buf folded = BUF(2 * TABLE_KEY_MAX), value = BUF(TABLE_VALUE_MAX);
	bool ok = table_value(t, text, &value, err);

	if (t->flags & TABLE_FOLD)
		table_fold(key, &folded);
	else
		buf_str(&folded, key);
	if (ok && !entries_add(t->state, buf_slice(&folded), buf_slice(&value), false))
		table_warn(t, "%s, line %d: duplicate entry: \"" STR_FMT "\"", path, line, STR_ARG(key));
	buf_free(&folded);
	buf_free(&value);
	return ok;
}

static void warn_utf8(struct table *t, const char *path, int number, struct str line)
{
	char *shown = x_strndup(line.p, line.n);

	utf8_hide_controls(shown, strlen(shown), '?');
	table_warn(t, "%s, line %d: non-UTF-8 input \"%s\" -- ignoring this line", path, number, shown);
	x_free(&shown);
}

static void texthash_line(struct table *t, const char *path, struct source *s, struct str line)
{
	const int number = s->line.first;
	struct str key, value;
	struct err err;

	if (s->line.orphan) {
		source_warn_orphan(t, path, s);
		return;
	}
	if ((t->flags & TABLE_UTF8) && !utf8_valid(line)) {
		warn_utf8(t, path, number, line);
		return;
	}
	switch (source_pair(line, &key, &value)) {
	case PAIR_UNBALANCED:
		table_warn(t, "%s, line %d: unbalanced '\"' in '" STR_FMT "' -- ignoring this line", path,
			number, STR_ARG(line));
		return;
	case PAIR_NO_VALUE:
		table_warn(t, "%s, line %d: expected format: key whitespace value -- ignoring this line",
			path, number);
		return;
	case PAIR_OK:
		break;
	}
	if (key.p[key.n - 1] == ':')
		table_warn(t, "%s, line %d: record is in \"key: value\" format; is this an alias file?", path,
			number);
	if (!texthash_add(t, path, number, key, value, &err))
		table_warn(t, "%s, line %d: %s: skipping this entry", path, number, err.text);
}

static bool texthash_open(struct table *t, const char *name, struct err *err)
{
	struct source source;
	struct str line;

	t->state = hash_new(entries_free);
	table_watch_file(t, name, WATCH_EDITED);
	if (!source_open(&source, name, err))
		return false;
	while (source_next(&source, &line))
		texthash_line(t, name, &source, line);
	source_close(&source);
	return true;
}

static void texthash_close(struct table *t)
{
	hash_free((struct hash **)&t->state);
}

static enum table_status texthash_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	return entries_lookup(t->state, key, value);
}

static enum table_status texthash_each(struct table *t, table_entry_fn entry, void *arg, struct err *err)
{
	return entries_each(t->state, entry, arg);
}

const struct table_type table_type_texthash = {.name = "texthash",
	.open = texthash_open,
	.close = texthash_close,
	.lookup = texthash_lookup,
	.each = texthash_each};
