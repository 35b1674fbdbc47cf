#include "table/settings.h"

#include "base/logical.h"
#include "base/mem.h"
#include "base/sys.h"

#define SETTINGS_FILE_MAX (1u << 20)
#define SETTINGS_LINE_MAX 100000

struct setting {
	char *name, *value;
};

/* A list: modules have a copy of the hash map of their own, with another seed. */
struct settings {
	struct setting *list; /* of the file, or what was taken from main.cf so far */
	size_t count;
	char *prefix; /* NULL: a file */
	settings_parameter_fn parameter;
	char **warnings;
	size_t warning_count;
};

static const char *get(const struct settings *s, struct str name)
{
	for (size_t i = s->count; i > 0; i--) {
		if (str_is(name, s->list[i - 1].name))
			return s->list[i - 1].value;
	}
	return NULL;
}

/* The last value of a name counts. */
static void put(struct settings *s, struct str name, struct str value)
{
	s->list = x_realloc(s->list, (s->count + 1) * sizeof(*s->list));
	s->list[s->count++] = (struct setting){x_strndup(name.p, name.n), x_strndup(value.p, value.n)};
}

void settings_warn(struct settings *s, const char *fmt, ...)
{
	struct buf text = BUF(SETTINGS_LINE_MAX);
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	s->warnings = x_realloc(s->warnings, (s->warning_count + 1) * sizeof(*s->warnings));
	s->warnings[s->warning_count++] = buf_take(&text);
}

const char *settings_warning(const struct settings *s, size_t number)
{
	return number < s->warning_count ? s->warnings[number] : NULL;
}

/* The value is not shown: it may be a password. */
static bool put_line(struct settings *s, const char *path, const struct logical_line *line, struct err *err)
{
	ptrdiff_t sign = str_find(line->text, '=');
	struct str name = str_strip(str_first(line->text, sign < 0 ? 0 : (size_t)sign));

	if (line->orphan || name.n == 0)
		return err_set(err, "%s, line %d: \"name = value\" is wanted", path, line->first);
	if (get(s, name))
		settings_warn(s, "line %d: overriding earlier entry: " STR_FMT, line->first, STR_ARG(name));
	put(s, name, str_strip(str_from(line->text, (size_t)sign + 1)));
	return true;
}

static bool read_file(struct settings *s, const char *path, struct err *err)
{
	struct buf content = BUF(SETTINGS_FILE_MAX), room = BUF(SETTINGS_LINE_MAX);
	struct logical_line line;
	struct logical_reader reader;
	bool ok = sys_read_file(path, &content, err);

	if (ok && str_has_nul(buf_slice(&content)))
		ok = err_set(err, "%s: not a text file", path);
	reader = logical_of(buf_slice(&content));
	while (ok && logical_next(&reader, &room, &line))
		ok = put_line(s, path, &line, err);
	sys_wipe(content.data, content.len);
	buf_free(&content);
	buf_free(&room);
	return ok;
}

struct settings *settings_open(const char *source, settings_parameter_fn parameter, struct err *err)
{
	struct settings *s = x_alloc(sizeof(*s));

	s->parameter = parameter;
	if (*source != '/' && *source != '.')
		s->prefix = x_strdup(source);
	else if (!read_file(s, source, err))
		settings_close(&s);
	return s;
}

void settings_close(struct settings **sp)
{
	struct settings *s = *sp;

	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++) {
		sys_wipe(s->list[i].value, strlen(s->list[i].value));
		x_free(&s->list[i].name);
		x_free(&s->list[i].value);
	}
	for (size_t i = 0; i < s->warning_count; i++)
		x_free(&s->warnings[i]);
	x_free(&s->warnings);
	x_free(&s->list);
	x_free(&s->prefix);
	x_free(sp);
}

static const char *find(struct settings *s, const char *name)
{
	char *full, *value;

	if (s->prefix && !get(s, str_c(name))) {
		full = x_asprintf("%s_%s", s->prefix, name);
		value = s->parameter ? s->parameter(full) : NULL;
		x_free(&full);
		if (value)
			put(s, str_c(name), str_c(value));
		x_free(&value);
	}
	return get(s, str_c(name));
}

const char *settings_text(struct settings *s, const char *name, const char *fallback)
{
	const char *value = find(s, name);

	return value ? value : fallback;
}

bool settings_number(
	struct settings *s, const char *name, int fallback, int min, int max, int *out, struct err *err)
{
	const char *value = find(s, name);
	int64_t number = fallback;

	if (value && !str_to_i64(str_c(value), min, max, &number))
		return err_set(err, "%s = %s: a number from %d to %d is wanted", name, value, min, max);
	*out = (int)number;
	return true;
}

bool settings_bool(struct settings *s, const char *name, bool fallback, bool *out, struct err *err)
{
	const char *value = find(s, name);

	*out = value ? ascii_casecmp(value, "yes") == 0 : fallback;
	if (value && !*out && ascii_casecmp(value, "no") != 0)
		return err_set(err, "%s = %s: yes or no is wanted", name, value);
	return true;
}
