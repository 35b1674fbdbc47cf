/* Questions to tables: -q and -s. */
#include <jansson.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/mem.h"
#include "commands/command_log.h"
#include "commands/map_message.h"
#include "table/table_build.h"

#define BASE64_SHOWN 30	     /* bytes of a value that is none */
#define QUESTIONS_ROOM 65536 /* bytes of standard input that are read ahead */

struct opened {
	const struct map_command *command;
	struct table **tables; /* NULL where none was needed yet */
	size_t count;
	bool found; /* any key */
};

static void warn(void *arg, const char *text)
{
	command_say(LOGL_WARNING, "%s", text);
}

static struct table *open_table(const struct map_command *m, const char *map)
{
	const bool utf8 = m->cfg->smtputf8_enable && !m->no_utf8;
	int flags = (m->no_fold ? 0 : TABLE_FOLD) | (m->files ? TABLE_FILES : 0) | (utf8 ? TABLE_UTF8 : 0);
	char *spec = map_spec(m, map);
	struct err err = {""};
	struct table *t = table_open(spec, flags, &err);

	if (!t)
		command_die(EXIT_FAILURE, "%s", err.text);
	table_warnings(t, warn, NULL);
	x_free(&spec);
	return t;
}

static void warn_empty(const struct table *t, struct str key)
{
	command_say(LOGL_WARNING, "table %s: key " STR_FMT ": empty string result is not allowed",
		table_spec(t), STR_ARG(key));
	command_say(LOGL_WARNING, "table %s should return NO RESULT in case of NOT FOUND", table_spec(t));
}

static void check_value(const struct map_command *m, const struct table *t, struct str key, struct str value)
{
	char *shown_key, *shown_value;

	if (m->files || !map_bad_utf8(m, value))
		return;
	shown_key = map_printable(key);
	shown_value = map_printable(value);
	command_say(LOGL_WARNING,
		"%s: key \"%s\": non-UTF-8 value \"%s\": malformed UTF-8 or invalid codepoint", table_spec(t),
		shown_key, shown_value);
	x_free(&shown_key);
	x_free(&shown_value);
	command_die(EXIT_FAILURE, "table %s: query error", table_spec(t));
}

/* Appends the value; false: not found. */
static bool ask(const struct map_command *m, struct table *t, struct str key, struct buf *value)
{
	struct err err = {""};
	enum table_status status;

	if (map_bad_utf8(m, key)) {
		map_refuse_key(table_spec(t), key);
		return false;
	}
	status = table_lookup(t, key, value, &err);
	if (status != TABLE_FOUND && status != TABLE_NOT_FOUND)
		command_die(EXIT_FAILURE, "table %s: query error: %s", table_spec(t), err.text);
	if (status == TABLE_FOUND)
		check_value(m, t, key, buf_slice(value));
	if (status == TABLE_FOUND && value->len == 0)
		warn_empty(t, key);
	return status == TABLE_FOUND;
}

static void print_pair(const struct map_command *m, struct str key, struct str value)
{
	json_t *object;
	char *text = NULL;

	if (!m->json) {
		printf(STR_FMT "%s" STR_FMT "\n", STR_ARG(key), m->separator, STR_ARG(value));
		return;
	}
	object = json_object();
	if (json_object_setn_new(object, key.p, key.n, json_stringn(value.p, value.n)) == 0)
		text = json_dumps(object, 0);
	if (text)
		printf("%s\n", text);
	else
		command_say(LOGL_WARNING, "key " STR_FMT ": not UTF-8, and so not JSON", STR_ARG(key));
	free(text);
	json_decref(object);
}

static void print_found(const struct map_command *m, const struct buf *value)
{
	if (m->json) {
		print_pair(m, str_c(m->key), buf_slice(value));
		return;
	}
	fwrite(buf_cstr(value), 1, value->len, stdout);
	putchar('\n');
}

static int query_one(const struct map_command *m)
{
	bool found = false;

	for (char **map = m->maps; *map && !found; map++) {
		struct buf value = BUF(TABLE_VALUE_MAX);
		struct table *t = open_table(m, *map);

		found = ask(m, t, str_c(m->key), &value);
		if (found)
			print_found(m, &value);
		buf_free(&value);
		table_close(&t);
	}
	return found ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void query_key(struct opened *o, struct str key)
{
	bool found = false;

	for (size_t i = 0; i < o->count && !found; i++) {
		struct buf value = BUF(TABLE_VALUE_MAX);

		if (!o->tables[i])
			o->tables[i] = open_table(o->command, o->command->maps[i]);
		found = ask(o->command, o->tables[i], key, &value);
		if (found)
			print_pair(o->command, key, buf_slice(&value));
		buf_free(&value);
	}
	o->found = o->found || found;
}

static void message_key(void *opened, struct str key)
{
	query_key(opened, key);
}

/* Who asks one question after the other gets each answer before the next is waited for. */
static ssize_t answer_and_read(void *cookie, char *out, size_t room)
{
	fflush(stdout);
	return read(STDIN_FILENO, out, room);
}

static FILE *open_questions(char *room)
{
	FILE *questions = fopencookie(NULL, "r", (cookie_io_functions_t){.read = answer_and_read});

	if (!questions || setvbuf(questions, room, _IOFBF, QUESTIONS_ROOM) != 0)
		command_die(EXIT_FAILURE, "reading standard input: %m");
	return questions;
}

static void query_stdin(struct opened *o)
{
	char *ahead = x_alloc(QUESTIONS_ROOM);
	FILE *questions = open_questions(ahead);
	const struct map_command *m = o->command;
	struct map_message *message =
		m->header_keys || m->body_keys ? map_message_new(m, message_key, o) : NULL;
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	while ((n = getline(&line, &room, questions)) >= 0) {
		struct str text = {line, (size_t)n - (n > 0 && line[n - 1] == '\n')};

		if (message)
			map_message_line(message, text);
		else
			query_key(o, text);
	}
	if (message)
		map_message_end(&message);
	free(line);
	fclose(questions);
	x_free(&ahead);
}

int map_query(const struct map_command *m)
{
	struct opened o = {.command = m};

	if (strcmp(m->key, "-") != 0)
		return query_one(m);
	while (m->maps[o.count])
		o.count++;
	o.tables = x_alloc(o.count * sizeof(struct table *));
	query_stdin(&o);
	for (size_t i = 0; i < o.count; i++)
		table_close(&o.tables[i]);
	x_free(&o.tables);
	return o.found ? EXIT_SUCCESS : EXIT_FAILURE;
}

struct listing {
	const struct map_command *command;
	const struct table *table;
	bool encoded; /* values are base64 that -F decodes */
};

static void print_decoded(const struct listing *l, struct str key, struct str value)
{
	struct buf text = BUF(TABLE_VALUE_MAX);

	if (base64_decode(value, &text))
		print_pair(l->command, key, buf_slice(&text));
	else
		command_say(LOGL_WARNING, "table %s: key " STR_FMT ": malformed BASE64 value: " STR_FMT,
			table_spec(l->table), STR_ARG(key), STR_ARG(str_first(value, BASE64_SHOWN)));
	buf_free(&text);
}

static bool print_entry(void *arg, struct str key, struct str value)
{
	const struct listing *l = arg;

	if (key.n == 0)
		command_say(LOGL_WARNING, "table %s: empty lookup key value is not allowed",
			table_spec(l->table));
	if (value.n == 0)
		warn_empty(l->table, key);
	if (l->encoded)
		print_decoded(l, key, value);
	else
		print_pair(l->command, key, value);
	return true;
}

int map_list(const struct map_command *m)
{
	struct err err = {""};

	for (char **map = m->maps; *map; map++) {
		struct table *t = open_table(m, *map);
		struct listing listing = {m, t, m->files && table_build_supported(table_spec(t), NULL)};

		if (table_each(t, print_entry, &listing, &err) != TABLE_FOUND)
			command_die(EXIT_FAILURE, "table %s: %s", table_spec(t), err.text);
		table_close(&t);
	}
	return EXIT_SUCCESS;
}
