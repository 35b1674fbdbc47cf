#include "config/main_cf.h"

#include "base/logical.h"
#include "base/mem.h"
#include "base/sys.h"
#include <poll.h>
#include <sys/stat.h>

enum { READ_TRIES = 20, READ_PAUSE_MS = 50 };

static struct str take_name(struct str *rest)
{
	struct str name = {rest->p, 0};

	while (name.n < rest->n && rest->p[name.n] != '=' && !strchr(" \t\r\n", rest->p[name.n]))
		name.n++;
	*rest = str_from(*rest, name.n);
	return name;
}

bool main_cf_split(struct str text, struct str *name, struct str *value, struct err *err)
{
	struct str rest = str_strip(text);

	if (str_has_nul(text))
		return err_set(err, "a NUL byte");
	*name = take_name(&rest);
	if (name->n == 0)
		return err_set(err, "missing attribute name: \"" STR_FMT "\"", STR_ARG(text));
	rest = str_strip(rest);
	if (rest.n == 0 || rest.p[0] != '=')
		return err_set(err, "missing '=' after attribute name: \"" STR_FMT "\"", STR_ARG(text));
	*value = str_strip(str_from(rest, 1));
	return true;
}

static void add_entry(struct main_cf *m, struct str name, struct str value, int line)
{
	if ((m->count & (m->count + 1)) == 0) /* room doubles at 0, 1, 3, 7, ... */
		m->entries = x_realloc(m->entries, (2 * m->count + 1) * sizeof(*m->entries));
	m->entries[m->count++] =
		(struct main_cf_entry){x_strndup(name.p, name.n), x_strndup(value.p, value.n), line};
}

static void warn_orphan(const char *path, struct str text, config_warn_fn warn, void *arg)
{
	struct err e;

	err_set(&e, "%s: logical line must not start with whitespace: \"%.30s\"", path, text.p);
	if (warn)
		warn(arg, e.text);
}

static bool parse_lines(struct main_cf *m, struct str content, const char *path, struct buf *buf,
	config_warn_fn warn, void *arg, struct err *err)
{
	struct logical_reader r = logical_of(content);
	struct logical_line line;
	struct str name, value;

	while (logical_next(&r, buf, &line)) {
		if (line.orphan) {
			warn_orphan(path, line.text, warn, arg);
			continue;
		}
		if (!main_cf_split(line.text, &name, &value, err))
			return err_prefix(err, "%s, line %d", path, line.first);
		add_entry(m, name, value, line.first);
	}
	return true;
}

struct main_cf *main_cf_parse(
	struct str content, const char *path, config_warn_fn warn, void *arg, struct err *err)
{
	struct main_cf *m = x_alloc(sizeof(*m));
	struct buf buf = BUF(MAIN_CF_MAX);

	if (!parse_lines(m, content, path, &buf, warn, arg, err))
		main_cf_free(&m);
	buf_free(&buf);
	return m;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* What was read while somebody wrote is thrown away. */
static bool read_whole(const char *path, struct buf *content, struct err *err)
{
	for (int i = 0; i < READ_TRIES; i++) {
		struct stat before = {.st_ino = 0}, after = {.st_ino = 0};

		buf_clear(content);
		stat(path, &before);
		if (!sys_read_file(path, content, err))
			return false;
		if (stat(path, &after) == 0 && same_file(&before, &after) &&
			content->len == (size_t)after.st_size)
			return true;
		poll(NULL, 0, READ_PAUSE_MS);
	}
	return err_set(err, "%s: changes all the time", path);
}

struct main_cf *main_cf_load(const char *path, config_warn_fn warn, void *arg, struct err *err)
{
	struct buf content = BUF(MAIN_CF_MAX);
	struct main_cf *m = NULL;

	if (read_whole(path, &content, err))
		m = main_cf_parse(buf_slice(&content), path, warn, arg, err);
	buf_free(&content);
	return m;
}

void main_cf_free(struct main_cf **m)
{
	if (!*m)
		return;
	for (size_t i = 0; i < (*m)->count; i++) {
		x_free(&(*m)->entries[i].name);
		x_free(&(*m)->entries[i].value);
	}
	x_free(&(*m)->entries);
	x_free(m);
}
