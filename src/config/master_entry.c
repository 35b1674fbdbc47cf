#include "config/master_entry.h"

#include "base/mem.h"

#define BLANKS " \t\r\n"

const char *const master_field_names[FIELD_COUNT + 1] = {
	"service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit", "command"};

static bool one_of(const char *text, const char *const *words)
{
	for (; *words; words++) {
		if (strcmp(text, *words) == 0)
			return true;
	}
	return false;
}

static bool is_number(struct str s)
{
	int64_t n;

	return str_to_i64(s, 0, INT32_MAX, &n);
}

bool master_field_valid(enum master_field field, const char *text)
{
	static const char *const types[] = {"inet", "unix", "fifo", "pass", "unix-dgram", NULL};
	static const char *const flags[] = {"-", "y", "n", NULL};
	struct str s = str_c(text);

	switch (field) {
	case FIELD_NAME:
		return s.n > 0;
	case FIELD_TYPE:
		return one_of(text, types);
	case FIELD_PRIVATE:
	case FIELD_UNPRIVILEGED:
	case FIELD_CHROOT:
		return one_of(text, flags);
	case FIELD_WAKEUP:
		return str_is(s, "-") || is_number(str_ends(s, STR("?")) ? str_first(s, s.n - 1) : s);
	case FIELD_MAXPROC:
		return str_is(s, "-") || is_number(s);
	case FIELD_COUNT:
		break;
	}
	return false;
}

bool master_is_option(const char *arg)
{
	return arg[0] == '-' && arg[1] && arg[1] != '-';
}

void master_entry_add(struct master_entry *e, struct str arg)
{
	e->argv = x_realloc(e->argv, (e->argc + 2) * sizeof(*e->argv));
	e->argv[e->argc++] = x_strndup(arg.p, arg.n);
	e->argv[e->argc] = NULL;
}

static bool take_fields(struct str *rest, struct master_entry *e, struct str line, struct err *err)
{
	struct str word;

	for (int i = 0; i < FIELD_COUNT; i++) {
		if (!str_word(rest, BLANKS, &word))
			return err_set(err, "bad field count");
		e->fields[i] = x_strndup(word.p, word.n);
	}
	*rest = str_strip(*rest);
	if (rest->n == 0)
		return err_set(err, "bad field count");
	for (int i = 0; i < FIELD_COUNT; i++) {
		if (!master_field_valid((enum master_field)i, e->fields[i]))
			return err_set(err, "invalid %s field \"%s\" in \"" STR_FMT "\"",
				master_field_names[i], e->fields[i], STR_ARG(line));
	}
	return true;
}

static struct str strip_braces(struct str text)
{
	if (text.n > 1 && text.p[0] == '{' && text.p[text.n - 1] == '}')
		return str_trim((struct str){text.p + 1, text.n - 2});
	return text;
}

/* An argument, with { } around it removed; blanks inside { } do not end it. */
static bool take_argument(struct str *rest, struct str *arg, struct err *err)
{
	if (!str_group(rest, BLANKS, arg))
		return false;
	if (arg->p[0] == '{' && (arg->n < 2 || arg->p[arg->n - 1] != '}'))
		return err_set(err, "missing '}' in \"" STR_FMT "\"", STR_ARG(*arg));
	*arg = strip_braces(*arg);
	return true;
}

/* "-voname=value" becomes "-v" "-o" "name=value". value: the option's argument comes next. */
static void add_option(struct master_entry *e, struct str arg, bool *value)
{
	ptrdiff_t o = str_find(arg, 'o');

	*value = false;
	if (o < 0) {
		master_entry_add(e, arg);
		return;
	}
	if (o > 1)
		master_entry_add(e, str_first(arg, (size_t)o));
	master_entry_add(e, STR("-o"));
	*value = (size_t)o + 1 == arg.n;
	if (!*value)
		master_entry_add(e, strip_braces(str_from(arg, (size_t)o + 1)));
}

static bool take_arguments(struct str rest, struct master_entry *e, struct err *err)
{
	bool options = true, value = false;
	struct str arg;

	err->text[0] = '\0';
	while (take_argument(&rest, &arg, err)) {
		if (e->argc == 0 || value || !options || arg.n < 2 || arg.p[0] != '-' || arg.p[1] == '-') {
			options = options && (e->argc == 0 || value);
			master_entry_add(e, arg);
			value = false;
		} else {
			add_option(e, arg, &value);
		}
	}
	return err->text[0] == '\0';
}

bool master_entry_parse(struct str line, struct master_entry *e, struct err *err)
{
	struct str rest = line;
	struct err inner;

	*e = (struct master_entry){.argc = 0};
	if (str_has_nul(line))
		return err_set(err, "a NUL byte");
	if (take_fields(&rest, e, line, &inner) && take_arguments(rest, e, &inner))
		return true;
	master_entry_clear(e);
	return err_set(err, "%s", inner.text);
}

void master_entry_clear(struct master_entry *e)
{
	for (int i = 0; i < FIELD_COUNT; i++)
		x_free(&e->fields[i]);
	for (size_t i = 0; i < e->argc; i++)
		x_free(&e->argv[i]);
	x_free(&e->argv);
	e->argc = 0;
}
