/* Questions to tables: -q and -s. */
#include <jansson.h>
#include <unistd.h>

#include "base/mem.h"
#include "commands/command_log.h"
#include "commands/map_command.h"

#define QUESTIONS_ROOM 65536 /* bytes of standard input that are read ahead */

struct opened {
	const struct map_command *command;
	struct table **tables;
	size_t count;
	bool found; /* any key */
};

static void warn(void *arg, const char *text)
{
	command_say(LOGL_WARNING, "%s", text);
}

static struct table *open_table(const struct map_command *m, const char *map)
{
	int flags = (m->no_fold ? 0 : TABLE_FOLD) | (m->files ? TABLE_FILES : 0);
	char *spec = map_spec(m, map);
	struct err err = {""};
	struct table *t = table_open(spec, flags, &err);

	if (!t)
		command_die(EXIT_FAILURE, "%s", err.text);
	table_warnings(t, warn, NULL);
	x_free(&spec);
	return t;
}

/* Appends the value; false: not found. */
static bool ask(const struct map_command *m, struct table *t, struct str key, struct buf *value)
{
	struct err err = {""};
	enum table_status status;

	if (map_bad_utf8(m, key)) {
		char *shown = map_printable(key);

		command_say(LOGL_WARNING, "%s: non-UTF-8 key \"%s\": malformed UTF-8 or invalid codepoint",
			table_spec(t), shown);
		x_free(&shown);
		return false;
	}
	status = table_lookup(t, key, value, &err);
	if (status != TABLE_FOUND && status != TABLE_NOT_FOUND)
		command_die(EXIT_FAILURE, "table %s: query error: %s", table_spec(t), err.text);
	if (status == TABLE_FOUND && value->len == 0) {
		command_say(LOGL_WARNING, "table %s: key " STR_FMT ": empty string result is not allowed",
			table_spec(t), STR_ARG(key));
		command_say(
			LOGL_WARNING, "table %s should return NO RESULT in case of NOT FOUND", table_spec(t));
	}
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

		found = ask(o->command, o->tables[i], key, &value);
		if (found)
			print_pair(o->command, key, buf_slice(&value));
		buf_free(&value);
	}
	o->found = o->found || found;
}

static bool is_header(struct str line)
{
	ptrdiff_t colon = str_find(line, ':');

	if (colon <= 0)
		return false;
	for (ptrdiff_t i = 0; i < colon; i++) {
		if (line.p[i] <= ' ' || line.p[i] >= 127)
			return false;
	}
	return true;
}

static bool is_fold(struct str line)
{
	return line.n && (line.p[0] == ' ' || line.p[0] == '\t');
}

/* A message: its logical headers, its other lines, or both are the keys. */
struct message {
	struct opened *o;
	struct buf header;
	bool in_body;
};

static void flush_header(struct message *m)
{
	if (m->header.len && m->o->command->header_keys)
		query_key(m->o, buf_slice(&m->header));
	buf_clear(&m->header);
}

static void message_line(struct message *m, struct str line)
{
	if (!m->in_body && m->header.len && is_fold(line)) {
		buf_putc(&m->header, '\n');
		buf_str(&m->header, line);
		return;
	}
	if (!m->in_body) {
		flush_header(m);
		m->in_body = !is_header(line);
	}
	if (!m->in_body)
		buf_str(&m->header, line);
	else if (m->o->command->body_keys)
		query_key(m->o, line);
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
	const bool content = o->command->header_keys || o->command->body_keys;
	struct message message = {.o = o, .header = BUF(SOURCE_MAX)};
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	while ((n = getline(&line, &room, questions)) >= 0) {
		struct str text = {line, (size_t)n - (n > 0 && line[n - 1] == '\n')};

		if (content)
			message_line(&message, text);
		else
			query_key(o, text);
	}
	flush_header(&message);
	buf_free(&message.header);
	free(line);
	fclose(questions);
	x_free(&ahead);
}

int map_query(const struct map_command *m)
{
	struct opened o = {.command = m};

	if (strcmp(m->key, "-") != 0)
		return query_one(m);
	for (char **map = m->maps; *map; map++) {
		o.tables = x_realloc(o.tables, (o.count + 1) * sizeof(*o.tables));
		o.tables[o.count++] = open_table(m, *map);
	}
	query_stdin(&o);
	for (size_t i = 0; i < o.count; i++)
		table_close(&o.tables[i]);
	x_free(&o.tables);
	return o.found ? EXIT_SUCCESS : EXIT_FAILURE;
}

static bool print_entry(void *arg, struct str key, struct str value)
{
	print_pair(arg, key, value);
	return true;
}

int map_list(const struct map_command *m)
{
	struct err err = {""};

	for (char **map = m->maps; *map; map++) {
		struct table *t = open_table(m, *map);

		if (table_each(t, print_entry, (void *)m, &err) != TABLE_FOUND)
			command_die(EXIT_FAILURE, "table %s: %s", table_spec(t), err.text);
		table_close(&t);
	}
	return EXIT_SUCCESS;
}
