#include "base/mem.h"
#include "commands/postconf.h"
#include <jansson.h>

/* Columns of a folded line: parameters may use the last one, entries of master.cf not. */
enum { LINE_LIMIT = 80, ENTRY_LIMIT = 79 };

#define BLANKS " \t\r\n"
#define INDENT "    "

/* Text in words, folded before a word that would not fit when limit is set. */
struct writer {
	struct buf *out;
	size_t column;
	size_t limit; /* 0: lines are not folded */
};

static void write_word(struct writer *w, struct str word)
{
	if (w->limit && w->column > 0 && w->column + 1 + word.n > w->limit) {
		buf_puts(w->out, "\n" INDENT);
		w->column = sizeof(INDENT) - 1;
	} else if (w->column > 0) {
		buf_putc(w->out, ' ');
		w->column++;
	}
	buf_str(w->out, word);
	w->column += word.n;
}

static void write_line(struct writer *w, struct str word)
{
	buf_puts(w->out, "\n" INDENT);
	w->column = sizeof(INDENT) - 1 + word.n;
	buf_str(w->out, word);
}

static void write_words(struct writer *w, struct str text)
{
	struct str word;

	while (str_word(&text, BLANKS, &word))
		write_word(w, word);
}

static void print_json(const char *name, const char *value)
{
	json_t *object = json_object();
	char *text;

	json_object_set_new(object, name, json_stringn_nocheck(value, strlen(value)));
	text = json_dumps(object, JSON_ENSURE_ASCII);
	puts(text ? text : "{}");
	free(text);
	json_decref(object);
}

static void collapse(struct str text, struct buf *out)
{
	struct writer w = {.out = out};

	write_words(&w, text);
}

static void print_text(unsigned flags, const char *name, const char *value)
{
	struct buf line = BUF(EXPAND_MAX * 2);
	struct writer w = {.out = &line, .limit = flags & PC_FOLD ? LINE_LIMIT : 0};

	if (!(flags & PC_HIDE_NAME)) {
		buf_printf(&line, "%s =", name);
		w.column = line.len;
	}
	write_words(&w, str_c(value));
	puts(buf_cstr(&line));
	buf_free(&line);
}

void postconf_print(unsigned flags, const char *name, const char *value)
{
	struct buf flat = BUF(EXPAND_MAX);

	if (flags & PC_HIDE_VALUE) {
		puts(name);
	} else if (flags & PC_JSON) {
		collapse(str_c(value), &flat);
		print_json(name, buf_cstr(&flat));
	} else {
		print_text(flags, name, value);
	}
	buf_free(&flat);
}

static bool has_blank(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (strchr(BLANKS, s.p[i]))
			return true;
	}
	return false;
}

static void quote(struct str arg, bool braces, struct buf *out)
{
	if (braces)
		buf_putc(out, '{');
	buf_str(out, arg);
	if (braces)
		buf_putc(out, '}');
}

/* The value of -o as it may stand in master.cf. */
static void quote_override(struct str arg, struct buf *out)
{
	quote(arg, arg.n == 0 || arg.p[0] == '{' || has_blank(arg), out);
}

/* Another argument; blanks within its braces need no more of them. */
static void quote_argument(struct str arg, struct buf *out)
{
	struct str rest = arg, word;
	bool one = str_group(&rest, BLANKS, &word) && word.n == arg.n;

	quote(arg, !one || arg.p[0] == '{', out);
}

static void format_override(const char *text, postconf_value_fn value, void *arg, struct buf *out)
{
	struct buf plain = BUF(EXPAND_MAX);
	struct str name, v;
	char *raw;

	if (!main_cf_split(str_c(text), &name, &v, NULL)) {
		quote_override(str_c(text), out);
		return;
	}
	buf_printf(&plain, STR_FMT "=", STR_ARG(name));
	raw = x_strndup(v.p, v.n);
	if (value)
		value(arg, raw, &plain);
	else
		buf_puts(&plain, raw);
	quote_override(buf_slice(&plain), out);
	x_free(&raw);
	buf_free(&plain);
}

static void write_override(struct writer *w, const char *text, postconf_value_fn value, void *arg)
{
	struct buf option = BUF(EXPAND_MAX);

	buf_puts(&option, "-o ");
	format_override(text, value, arg, &option);
	if (w->limit)
		write_line(w, buf_slice(&option));
	else
		write_word(w, buf_slice(&option));
	buf_free(&option);
}

static void write_argument(struct writer *w, const char *text, bool own_line)
{
	struct buf quoted = BUF(EXPAND_MAX);

	quote_argument(str_c(text), &quoted);
	if (own_line)
		write_line(w, buf_slice(&quoted));
	else
		write_word(w, buf_slice(&quoted));
	buf_free(&quoted);
}

static void write_arguments(
	struct writer *w, const struct master_entry *e, postconf_value_fn value, void *arg)
{
	bool options = true, after_override = false;

	for (size_t i = 0; i < e->argc; i++) {
		options = options && (i == 0 || master_is_option(e->argv[i]));
		if (i > 0 && options && i + 1 < e->argc && strcmp(e->argv[i], "-o") == 0) {
			write_override(w, e->argv[++i], value, arg);
			after_override = true;
		} else {
			write_argument(w, e->argv[i], w->limit && after_override);
			after_override = false;
		}
	}
}

void postconf_format_command(unsigned flags, const struct master_entry *e, size_t column,
	postconf_value_fn value, void *arg, struct buf *out)
{
	struct writer w = {.out = out, .column = column, .limit = flags & PC_FOLD ? ENTRY_LIMIT : 0};

	write_arguments(&w, e, value, arg);
}

void postconf_format_entry(
	unsigned flags, const struct master_entry *e, postconf_value_fn value, void *arg, struct buf *out)
{
	static const size_t columns[FIELD_COUNT] = {0, 11, 17, 25, 33, 41, 49};
	struct writer w = {.out = out, .limit = flags & PC_FOLD ? ENTRY_LIMIT : 0};
	size_t start = out->len;

	for (int i = 0; i < FIELD_COUNT; i++) {
		while (!(flags & PC_JSON) && i > 0 && out->len - start + 1 < columns[i])
			buf_putc(out, ' ');
		w.column = out->len - start;
		write_word(&w, str_c(e->fields[i]));
	}
	while (!(flags & PC_JSON) && out->len - start + 1 < 57)
		buf_putc(out, ' ');
	w.column = out->len - start;
	write_arguments(&w, e, value, arg);
}
