/* Making and changing tables: from a source file, -i and -d. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/mem.h"
#include "commands/command_log.h"
#include "commands/map_command.h"
#include "table/table_build.h"

struct build {
	const struct map_command *command;
	const char *spec, *source; /* source: the file's name, or "stdin" */
	struct table_builder *builder;
	struct source text;
};

static const char *name_of(const char *spec)
{
	return strchr(spec, ':') + 1;
}

/* Reads the source; *mode is that of the table made from it. */
static void read_source(struct build *b, mode_t *mode)
{
	struct err err = {""};
	struct stat st;

	*mode = 0644;
	if (!source_open(&b->text, b->command->mode == MAP_INCREMENT ? "/dev/stdin" : b->source, &err))
		command_die(EXIT_FAILURE, "%s", err.text);
	if (b->command->mode == MAP_BUILD && !b->command->fixed_mode && stat(b->source, &st) == 0)
		*mode = 0600 | (st.st_mode & 0044);
}

static bool source_value(const struct build *b, const char *where, struct buf *value)
{
	struct buf content = BUF(TABLE_VALUE_MAX);
	struct err err = {""};
	bool ok = true;

	if (!b->command->files)
		return true;
	ok = source_files(buf_slice(value), &content, &err);
	if (ok) {
		buf_clear(value);
		base64_encode(buf_slice(&content), value);
	} else {
		command_say(LOGL_WARNING, "%s: %s: skipping this entry", where, err.text);
	}
	buf_free(&content);
	return ok;
}

static void put_entry(struct build *b, const char *where, struct str key, struct str value)
{
	const struct map_command *m = b->command;
	struct buf folded = BUF(2 * SOURCE_MAX);
	struct err err = {""};
	enum table_build_result result;

	if (m->no_fold)
		buf_str(&folded, key);
	else
		table_fold(key, &folded);
	result = table_build_put(b->builder, buf_slice(&folded), value, &err);
	if (result == BUILD_FAILED) {
		table_build_abort(&b->builder);
		command_die(EXIT_FAILURE, "table %s: write error: %s", b->spec, err.text);
	}
	if (result == BUILD_UNFIT)
		command_say(LOGL_WARNING, "%s: key \"%.30s\": %s -- ignoring this line", where,
			buf_cstr(&folded), err.text);
	if (result == BUILD_DUPLICATE && !m->replace && !m->ignore)
		command_say(LOGL_WARNING, "%s: duplicate entry: \"%s\"", b->spec, buf_cstr(&folded));
	buf_free(&folded);
}

static void take_line(struct build *b, struct str line)
{
	struct buf key = BUF(SOURCE_MAX), value = BUF(2 * SOURCE_MAX);
	char *where = x_asprintf("%s, line %d", b->source, b->text.line.first);

	if (map_bad_utf8(b->command, line)) {
		char *shown = map_printable(line);

		command_say(LOGL_WARNING, "%s: non-UTF-8 input \"%s\" -- ignoring this line", where, shown);
		x_free(&shown);
	} else if (b->text.line.orphan) {
		command_say(LOGL_WARNING, "%s: logical line must not start with whitespace: \"%.30s\"", where,
			b->text.line.text.p);
	} else if (b->command->split(where, line, &key, &value) && source_value(b, where, &value)) {
		put_entry(b, where, buf_slice(&key), buf_slice(&value));
	}
	x_free(&where);
	buf_free(&key);
	buf_free(&value);
}

static void build_one(const struct map_command *m, const char *spec)
{
	struct build b = {
		.command = m, .spec = spec, .source = m->mode == MAP_INCREMENT ? "stdin" : name_of(spec)};
	struct table_build_options options = {
		.incremental = m->mode == MAP_INCREMENT, .replace = m->replace, .with_nul = m->with_nul};
	struct err err = {""};
	struct str line;

	if (str_starts(str_c(spec), STR("proxy:")))
		command_die(EXIT_FAILURE, "can't create maps via the proxy service");
	read_source(&b, &options.mode);
	if (!table_build_supported(spec, &err))
		command_die(EXIT_FAILURE, "%s", err.text);
	options.size = b.text.text.len;
	b.builder = table_build_begin(spec, &options, &err);
	if (!b.builder)
		command_die(EXIT_FAILURE, "%s", err.text);
	while (source_next(&b.text, &line))
		take_line(&b, line);
	source_close(&b.text);
	if (!table_build_commit(&b.builder, &err))
		command_die(EXIT_FAILURE, "table %s: write error: %s", spec, err.text);
}

int map_build(const struct map_command *m)
{
	for (char **map = m->maps; *map; map++) {
		char *spec = map_spec(m, *map);

		map_take_rights(m, spec);
		build_one(m, spec);
		map_restore_rights();
		x_free(&spec);
	}
	return EXIT_SUCCESS;
}

/* One table from which keys are deleted: with a builder where all of them can be done at once. */
struct deletion {
	const struct map_command *command;
	const char *spec;
	struct table *table;
	struct table_builder *builder; /* NULL: the table changes with each key */
	bool found;
};

static void delete_key(struct deletion *d, struct str key)
{
	struct buf folded = BUF(2 * SOURCE_MAX);
	struct err err = {""};
	enum table_status status;

	if (map_bad_utf8(d->command, key)) {
		map_refuse_key(d->spec, key);
		return;
	}
	if (d->command->no_fold)
		buf_str(&folded, key);
	else
		table_fold(key, &folded);
	status = d->builder ? table_build_remove(d->builder, buf_slice(&folded), &err)
			    : table_remove(d->table, buf_slice(&folded), &err);
	if (status != TABLE_FOUND && status != TABLE_NOT_FOUND) {
		table_build_abort(&d->builder);
		command_die(EXIT_FAILURE, "table %s: delete error: %s", d->spec, err.text);
	}
	buf_free(&folded);
	d->found = d->found || status == TABLE_FOUND;
}

static void delete_keys(struct deletion *d, struct str keys)
{
	while (keys.n) {
		ptrdiff_t end = str_find(keys, '\n');
		struct str key = end < 0 ? keys : str_first(keys, (size_t)end);

		delete_key(d, key);
		keys = str_from(keys, key.n + 1);
	}
}

/* Ends the command unless the table is there and of a type that can be changed. */
static void open_deletion(struct deletion *d)
{
	const struct table_build_options options = {.incremental = true, .mode = 0644};
	const char *changed;
	struct err err = {""};

	d->table = table_open(d->spec, 0, &err);
	if (!d->table || !table_can_remove(d->table, &err))
		command_die(EXIT_FAILURE, "%s", err.text);
	changed = table_changed_by_removal(d->table);
	if (changed)
		map_take_rights(d->command, changed);
	if (!table_build_supported(d->spec, NULL))
		return;
	table_close(&d->table);
	d->builder = table_build_begin(d->spec, &options, &err);
	if (!d->builder)
		command_die(EXIT_FAILURE, "%s", err.text);
}

/* Deletes the keys, one a line, from one table. */
static bool delete_from(const struct map_command *m, const char *spec, struct str keys)
{
	struct deletion d = {.command = m, .spec = spec};
	struct err err = {""};

	open_deletion(&d);
	delete_keys(&d, keys);
	if (!d.found)
		table_build_abort(&d.builder);
	else if (d.builder && !table_build_commit(&d.builder, &err))
		command_die(EXIT_FAILURE, "table %s: write error: %s", spec, err.text);
	table_close(&d.table);
	map_restore_rights();
	return d.found;
}

int map_delete(const struct map_command *m)
{
	struct source input = {.text = BUF(SOURCE_MAX)};
	struct err err = {""};
	bool found = false;

	if (strcmp(m->key, "-") != 0)
		buf_puts(&input.text, m->key);
	else if (!source_open(&input, "/dev/stdin", &err))
		command_die(EXIT_FAILURE, "%s", err.text);
	for (char **map = m->maps; *map; map++) {
		char *spec = map_spec(m, *map);

		found = delete_from(m, spec, buf_slice(&input.text)) || found;
		x_free(&spec);
	}
	source_close(&input);
	return found ? EXIT_SUCCESS : EXIT_FAILURE;
}
