/* postalias(1): makes, changes and asks alias databases (aliases(5)). */
#include <ctype.h>

#include "commands/command_log.h"
#include "commands/map_command.h"

/* The index of the first `wanted` outside quotes, or the length. */
static size_t outside_quotes(struct str s, char wanted)
{
	bool quoted = false;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\' && i + 1 < s.n)
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
		else if (!quoted && s.p[i] == wanted)
			return i;
	}
	return s.n;
}

static void add_unquoted(struct buf *out, struct str name)
{
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] == '"')
			continue;
		if (name.p[i] == '\\' && i + 1 < name.n)
			i++;
		buf_putc(out, name.p[i]);
	}
}

/* Adds the quoted string that item begins with, closed if it was not; returns its length. */
static size_t add_quoted(struct buf *out, struct str item)
{
	size_t n = 1;

	while (n < item.n && item.p[n] != '"')
		n += item.p[n] == '\\' && n + 1 < item.n ? 2 : 1;
	buf_str(out, str_first(item, n));
	buf_putc(out, '"');
	return n < item.n ? n + 1 : n;
}

/* Outside quotes, folded lines leave one blank behind, and backslashes go away. */
static void add_item(struct buf *out, struct str item)
{
	bool blank = false;

	if (out->len)
		buf_puts(out, ", ");
	while (item.n) {
		size_t n = 1;

		if (isspace((unsigned char)item.p[0])) {
			blank = true;
			item = str_from(item, 1);
			continue;
		}
		if (blank)
			buf_putc(out, ' ');
		blank = false;
		if (item.p[0] == '\\' && item.n > 1)
			item = str_from(item, 1);
		else if (item.p[0] == '"')
			n = add_quoted(out, item);
		if (n == 1)
			buf_putc(out, item.p[0]);
		item = str_from(item, n);
	}
}

static void add_items(struct buf *out, struct str list)
{
	while (list.n) {
		size_t end = outside_quotes(list, ',');
		struct str item = str_trim(str_first(list, end));

		if (item.n)
			add_item(out, item);
		list = str_from(list, end + 1);
	}
}

static bool split(const char *where, struct str line, struct buf *key, struct buf *value)
{
	size_t colon = outside_quotes(line, ':');
	struct str name = str_trim(str_first(line, colon));

	add_items(value, str_from(line, colon + 1));
	if (name.n == 0 || value->len == 0 || outside_quotes(name, ',') < name.n) {
		command_say(LOGL_WARNING, "%s: need name:value pair", where);
		return false;
	}
	if (outside_quotes(name, '@') < name.n) {
		command_say(LOGL_WARNING, "%s: name must be local", where);
		return false;
	}
	add_unquoted(key, name);
	return true;
}

int main(int argc, char **argv)
{
	struct map_command m = {
		.program = "postalias",
		.letters = "+Nc:d:fijnopq:rsuvw",
		.usage = "postalias [-Nfijnoprsuvw] [-c config_dir] [-d key] [-q key] [map_type:]file...",
		.separator = ":\t",
		.split = split,
	};

	return map_command_main(&m, argc, argv);
}
