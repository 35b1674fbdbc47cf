#include "base/mem.h"
#include "base/sys.h"
#include "commands/command_log.h"
#include "commands/postconf.h"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (4 * 1024 * 1024)

/* The lock is on the file itself; replacing renames another into its place, so the name may no longer be what
 * was locked. */
static bool still_named(const struct edit *e)
{
	struct stat held, named;

	return fstat(e->fd, &held) == 0 && stat(e->path, &named) == 0 && held.st_ino == named.st_ino &&
	       held.st_dev == named.st_dev;
}

void postconf_open(struct edit *e, const char *path)
{
	struct err err;

	*e = (struct edit){.path = path, .fd = -1, .old = BUF(FILE_MAX), .new = BUF(2 * FILE_MAX)};
	do {
		sys_close(&e->fd);
		e->fd = open(path, O_RDONLY | O_CLOEXEC);
		if (e->fd < 0 || flock(e->fd, LOCK_EX) < 0) {
			err_errno(&err, "open %s for reading", path);
			command_die(1, "%s", err.text);
		}
	} while (!still_named(e));
	if (!sys_read_file(path, &e->old, &err))
		command_die(1, "%s", err.text);
}

void postconf_replace(struct edit *e)
{
	struct err err;

	if (!sys_replace_file(e->path, buf_slice(&e->new), 0644, &err))
		command_die(1, "%s", err.text);
	sys_close(&e->fd);
	buf_free(&e->old);
	buf_free(&e->new);
}

struct change {
	char *name, *value; /* value NULL: -X or -# */
	bool done, superseded;
};

struct changes {
	struct change *list;
	size_t count;
};

static struct change *find_change(const struct changes *c, struct str name)
{
	for (size_t i = 0; i < c->count; i++) {
		if (!c->list[i].superseded && str_is(name, c->list[i].name))
			return &c->list[i];
	}
	return NULL;
}

static void check_request(const char *text, struct str trimmed, bool with_value)
{
	if (strchr(text, '\n'))
		command_die(1, "-e, -X, or -# accepts no multi-line input");
	if (trimmed.n && trimmed.p[0] == '#')
		command_die(1, "-e, -X, or -# accepts no comment input");
	if (!with_value && strchr(text, '='))
		command_die(1, "-X or -# requires parameter names without value");
	if (!with_value && trimmed.n == 0)
		command_die(1, "-X or -# requires non-blank parameter names");
}

static void add_change(struct changes *c, const char *request, bool with_value)
{
	struct str name = str_trim(str_c(request)), value = {"", 0};
	struct change *earlier;
	struct err err;

	check_request(request, name, with_value);
	if (with_value && !main_cf_split(str_c(request), &name, &value, &err))
		command_die(1, "%s", err.text);
	earlier = find_change(c, name);
	if (earlier) {
		earlier->superseded = true;
		if (with_value)
			command_say(LOGL_WARNING, "ignoring earlier request: '%s = %s'", earlier->name,
				earlier->value);
	}
	c->list = x_realloc(c->list, (c->count + 1) * sizeof(*c->list));
	c->list[c->count++] = (struct change){
		.name = x_strndup(name.p, name.n), .value = with_value ? x_strndup(value.p, value.n) : NULL};
}

static void free_changes(struct changes *c)
{
	for (size_t i = 0; i < c->count; i++) {
		x_free(&c->list[i].name);
		x_free(&c->list[i].value);
	}
	x_free(&c->list);
}

static struct str first_word(struct str line)
{
	struct str name = {line.p, 0};

	while (name.n < line.n && !strchr("= \t\r\n", line.p[name.n]))
		name.n++;
	return name;
}

static void put_value(struct edit *e, const struct change *c)
{
	buf_printf(&e->new, "%s = %s\n", c->name, c->value);
}

static void put_line(struct edit *e, struct str line)
{
	buf_str(&e->new, line);
	if (!str_ends(line, STR("\n")))
		buf_putc(&e->new, '\n');
}

static void begin_entry(struct edit *e, struct change *c)
{
	if (c->done)
		command_say(LOGL_WARNING, "%s: multiple entries for \"%s\"", e->path, c->name);
	c->done = true;
	if (c->value)
		put_value(e, c);
}

static void edit_line(
	struct edit *e, const struct changes *all, struct str line, unsigned flags, struct change **current)
{
	struct str text = str_strip(line);

	if (text.n == 0 || text.p[0] == '#') {
		put_line(e, line);
		return;
	}
	if (line.p[0] != ' ' && line.p[0] != '\t') {
		*current = find_change(all, first_word(line));
		if (*current)
			begin_entry(e, *current);
	}
	if (!*current) {
		put_line(e, line);
	} else if (flags & PC_COMMENT) {
		buf_putc(&e->new, '#');
		put_line(e, line);
	}
}

void postconf_edit_main(const char *path, unsigned flags, char *const *requests)
{
	struct changes all = {NULL, 0};
	struct change *current = NULL;
	struct edit e;
	struct str rest;

	for (; *requests; requests++)
		add_change(&all, *requests, flags & PC_EDIT);
	postconf_open(&e, path);
	for (rest = buf_slice(&e.old); rest.n;) {
		ptrdiff_t end = str_find(rest, '\n');
		struct str line = str_first(rest, end < 0 ? rest.n : (size_t)end + 1);

		edit_line(&e, &all, line, flags, &current);
		rest = str_from(rest, line.n);
	}
	for (size_t i = 0; i < all.count; i++) {
		if (all.list[i].value && !all.list[i].done && !all.list[i].superseded)
			put_value(&e, &all.list[i]);
	}
	postconf_replace(&e);
	free_changes(&all);
}
