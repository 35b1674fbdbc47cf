#include "config/expand.h"

#include "config/compare.h"

enum { NESTING_MAX = 100, STEPS_MAX = 100000, NAME_MAX_LEN = 256 };

struct expander {
	expand_lookup_fn lookup;
	expand_seen_fn seen; /* names only: every branch is walked, nothing is looked up */
	void *arg;
	struct err *err;
	int depth;
	int steps; /* a value that doubles at each level would take for ever */
};

static bool expand_str(struct expander *x, struct str text, struct buf *out);

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct str skip_blanks(struct str s)
{
	while (s.n && blank(s.p[0]))
		s = str_from(s, 1);
	return s;
}

static struct str take_name(struct str *s)
{
	struct str name = {s->p, 0};

	while (name.n < s->n && name_char(s->p[name.n]))
		name.n++;
	*s = str_from(*s, name.n);
	return name;
}

/* s begins with open; takes the balanced group and gives its inside. */
static bool take_group(struct str *s, char open, char close, struct str *inside)
{
	size_t depth = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (s->p[i] == open)
			depth++;
		else if (s->p[i] == close && --depth == 0) {
			*inside = (struct str){s->p + 1, i - 1};
			*s = str_from(*s, i + 1);
			return true;
		}
	}
	return false;
}

static bool expand_again(struct expander *x, const char *name, const char *value, struct buf *out)
{
	if (x->depth >= NESTING_MAX)
		return err_set(x->err, "unreasonable macro call nesting: \"%s\"", name);
	return expand_str(x, str_c(value), out);
}

/* Every reference comes by here and is counted. */
static bool copy_name(struct expander *x, struct str name, char text[NAME_MAX_LEN])
{
	if (name.n >= NAME_MAX_LEN)
		return err_set(x->err, "macro name too long: \"%.40s...\"", name.p);
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	return ++x->steps <= STEPS_MAX || err_set(x->err, "too many macro references: \"%s\"", text);
}

static bool expand_name(struct expander *x, struct str name, struct buf *out)
{
	char text[NAME_MAX_LEN];
	const char *value = "";

	if (!copy_name(x, name, text))
		return false;
	if (x->seen) {
		x->seen(x->arg, text);
		return true;
	}
	switch (x->lookup(x->arg, text, &value)) {
	case EXPAND_UNDEFINED:
		return true;
	case EXPAND_FINAL:
		buf_puts(out, value);
		return true;
	case EXPAND_AGAIN:
		return expand_again(x, text, value, out);
	}
	return true;
}

/* {text} with blanks skipped before it; done tells whether there was one. */
static bool maybe_group(struct expander *x, struct str *s, struct str *inside, bool *done)
{
	struct str at = skip_blanks(*s);

	*done = at.n && at.p[0] == '{';
	if (!*done)
		return true;
	if (!take_group(&at, '{', '}', inside))
		return err_set(x->err, "truncated macro reference: \"" STR_FMT "\"", STR_ARG(*s));
	*s = skip_blanks(at);
	return true;
}

struct branches {
	struct str yes, no;
};

/* The part after '?': {yes}, {yes}:{no}, {yes}:no, or yes to the end. */
static bool parse_yes(struct expander *x, struct str s, struct branches *b)
{
	bool grouped;

	if (!maybe_group(x, &s, &b->yes, &grouped))
		return false;
	if (!grouped) {
		b->yes = s;
		return true;
	}
	if (s.n == 0)
		return true;
	if (s.p[0] != ':')
		return err_set(x->err, "\":\" expected at: \"...}>>>" STR_FMT "\"", STR_ARG(s));
	s = b->no = str_from(s, 1);
	if (!maybe_group(x, &s, &b->no, &grouped))
		return false;
	if (grouped && s.n)
		return err_set(x->err, "unexpected input at: \"...}>>>" STR_FMT "\"", STR_ARG(s));
	return true;
}

static bool parse_no(struct expander *x, struct str s, struct branches *b)
{
	bool grouped;

	b->no = s;
	if (!maybe_group(x, &s, &b->no, &grouped))
		return false;
	if (grouped && s.n)
		return err_set(x->err, "unexpected input at: \"...}>>>" STR_FMT "\"", STR_ARG(s));
	return true;
}

static bool expand_branches(struct expander *x, const struct branches *b, bool set, struct buf *out)
{
	if (x->seen)
		return expand_str(x, b->yes, out) && expand_str(x, b->no, out);
	return expand_str(x, set ? b->yes : b->no, out);
}

static bool expand_condition(struct expander *x, struct str rest, bool set, struct buf *out)
{
	struct branches b = {STR(""), STR("")};
	bool ok = rest.p[0] == '?' ? parse_yes(x, str_from(rest, 1), &b) : parse_no(x, str_from(rest, 1), &b);

	return ok && expand_branches(x, &b, set, out);
}

static bool expand_operand(struct expander *x, struct str *s, struct buf *out)
{
	struct str text = {"", 0};
	bool grouped;

	if (!maybe_group(x, s, &text, &grouped))
		return false;
	if (!grouped)
		return err_set(x->err, "\"{expression}\" expected at: \"" STR_FMT "\"", STR_ARG(*s));
	return expand_str(x, text, out);
}

static bool evaluate(struct expander *x, struct str *s, struct buf *left, struct buf *right, bool *result)
{
	struct compare_op op;

	if (!expand_operand(x, s, left) || !compare_take(s, &op, x->err) || !expand_operand(x, s, right))
		return false;
	*result = false;
	if (x->seen)
		return true;
	return compare(op, buf_slice(left), buf_slice(right), result, x->err);
}

/* ${{left} op {right} ? ...}; without a branch the result is "true" or nothing. */
static bool expand_comparison(struct expander *x, struct str body, struct buf *out)
{
	struct buf left = BUF(EXPAND_MAX), right = BUF(EXPAND_MAX);
	bool result, ok = evaluate(x, &body, &left, &right, &result);

	buf_free(&left);
	buf_free(&right);
	if (!ok)
		return false;
	if (body.n == 0) {
		buf_puts(out, result ? "true" : "");
		return true;
	}
	if (body.p[0] != '?' && body.p[0] != ':')
		return err_set(x->err, "\"?\" or \":\" expected at: \"...}>>>" STR_FMT "\"", STR_ARG(body));
	return expand_condition(x, body, result, out);
}

/* The value itself is not expanded for this: ${x?{$x}} with x = $y asks whether "$y" is empty, and may stand
 * in x. */
static bool name_is_set(struct expander *x, struct str name, bool *set)
{
	char text[NAME_MAX_LEN];
	const char *value = "";

	*set = false;
	if (!copy_name(x, name, text))
		return false;
	if (x->seen)
		x->seen(x->arg, text);
	else
		*set = x->lookup(x->arg, text, &value) != EXPAND_UNDEFINED && *value;
	return true;
}

static bool expand_body(struct expander *x, struct str whole, struct str body, struct buf *out)
{
	struct str rest = skip_blanks(body), name;
	bool set;

	if (rest.n && rest.p[0] == '{')
		return expand_comparison(x, rest, out);
	name = take_name(&rest);
	if (name.n == 0 && rest.n == 0)
		return err_set(x->err, "empty macro name: \"" STR_FMT "\"", STR_ARG(whole));
	rest = skip_blanks(rest);
	if (name.n == 0 || (rest.n && rest.p[0] != '?' && rest.p[0] != ':'))
		return err_set(x->err, "attribute name syntax error at: \"..." STR_FMT ">>>" STR_FMT "\"",
			STR_ARG(name), STR_ARG(rest));
	if (rest.n == 0)
		return expand_name(x, name, out);
	return name_is_set(x, name, &set) && expand_condition(x, rest, set, out);
}

/* s is after the '$'. */
static bool expand_reference(struct expander *x, struct str whole, struct str *s, struct buf *out)
{
	char open = s->n ? s->p[0] : '\0';
	struct str body;

	if (open == '$') {
		*s = str_from(*s, 1);
		buf_putc(out, '$');
		return true;
	}
	if (open == '{' || open == '(') {
		if (!take_group(s, open, open == '{' ? '}' : ')', &body))
			return err_set(x->err, "truncated macro reference: \"" STR_FMT "\"", STR_ARG(whole));
		return expand_body(x, whole, body, out);
	}
	body = take_name(s);
	if (body.n == 0)
		return err_set(x->err, "empty macro name: \"" STR_FMT "\"", STR_ARG(whole));
	return expand_name(x, body, out);
}

static bool expand_str(struct expander *x, struct str text, struct buf *out)
{
	struct str rest = text;

	if (x->depth >= NESTING_MAX)
		return err_set(x->err, "unreasonable macro call nesting: \"%.40s\"", text.n ? text.p : "");
	x->depth++;
	while (rest.n) {
		ptrdiff_t dollar = str_find(rest, '$');
		size_t plain = dollar < 0 ? rest.n : (size_t)dollar;

		buf_str(out, str_first(rest, plain));
		rest = str_from(rest, plain + 1);
		if (dollar >= 0 && !expand_reference(x, text, &rest, out))
			return false;
	}
	x->depth--;
	return true;
}

bool expand(const char *text, expand_lookup_fn lookup, void *arg, struct buf *out, struct err *err)
{
	struct expander x = {.lookup = lookup, .arg = arg, .err = err};

	if (!expand_str(&x, str_c(text), out))
		return false;
	return !out->over || err_set(err, "expansion too long: \"%.40s...\"", text);
}

bool expand_names(const char *text, expand_seen_fn seen, void *arg, struct err *err)
{
	struct expander x = {.seen = seen, .arg = arg, .err = err};
	struct buf nothing = BUF(EXPAND_MAX);
	bool ok = expand_str(&x, str_c(text), &nothing);

	buf_free(&nothing);
	return ok;
}
