#include "config/compare.h"

static const struct {
	struct str text;
	enum compare_sign sign;
} signs[] = {
	/* longest first */
	{{"==", 2}, COMPARE_EQ},
	{{"!=", 2}, COMPARE_NE},
	{{"<=", 2}, COMPARE_LE},
	{{">=", 2}, COMPARE_GE},
	{{"<", 1}, COMPARE_LT},
	{{">", 1}, COMPARE_GT},
};

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool take_suffix(struct str *s, struct compare_op *op, struct err *err)
{
	if (str_starts(*s, STR("level"))) {
		op->level = true;
		*s = str_from(*s, 5);
	}
	if (s->n && s->p[0] != '{' && !blank(s->p[0]))
		return err_set(err, "bad operator suffix at: \">>>" STR_FMT "\"", STR_ARG(*s));
	return true;
}

bool compare_take(struct str *s, struct compare_op *op, struct err *err)
{
	while (s->n && blank(s->p[0]))
		*s = str_from(*s, 1);
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		if (!str_starts(*s, signs[i].text))
			continue;
		*op = (struct compare_op){.sign = signs[i].sign};
		*s = str_from(*s, signs[i].text.n);
		return take_suffix(s, op, err);
	}
	return err_set(err,
		"\"==\" or \"!=\" or \"<\" or \"<=\" or \">=\" or \">\" expected at: \">>>" STR_FMT "\"",
		STR_ARG(*s));
}

static bool holds(enum compare_sign sign, int order)
{
	switch (sign) {
	case COMPARE_EQ:
		return order == 0;
	case COMPARE_NE:
		return order != 0;
	case COMPARE_LT:
		return order < 0;
	case COMPARE_LE:
		return order <= 0;
	case COMPARE_GE:
		return order >= 0;
	case COMPARE_GT:
		return order > 0;
	}
	return false;
}

static int order_of(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int text_order(struct str a, struct str b)
{
	int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

	return order ? order : order_of((int64_t)a.n, (int64_t)b.n);
}

static bool number_order(struct str left, struct str right, int *order, struct err *err)
{
	int64_t a, b;

	if (!str_to_i64(left, 0, INT64_MAX, &a))
		return err_set(err, "number too large: \"" STR_FMT "\"", STR_ARG(left));
	if (!str_to_i64(right, 0, INT64_MAX, &b))
		return err_set(err, "number too large: \"" STR_FMT "\"", STR_ARG(right));
	*order = order_of(a, b);
	return true;
}

static bool level_order(struct str left, struct str right, int *order, struct err *err)
{
	int64_t a, b;

	if (!compare_parse_level(left, &a))
		return err_set(err, "malformed compatibility level syntax: \"" STR_FMT "\"", STR_ARG(left));
	if (!compare_parse_level(right, &b))
		return err_set(err, "malformed compatibility level syntax: \"" STR_FMT "\"", STR_ARG(right));
	*order = order_of(a, b);
	return true;
}

bool compare(struct compare_op op, struct str left, struct str right, bool *result, struct err *err)
{
	int order = 0;

	if (op.level) {
		if (!level_order(left, right, &order, err))
			return false;
	} else if (str_all_digits(left) && str_all_digits(right)) {
		if (!number_order(left, right, &order, err))
			return false;
	} else {
		order = text_order(left, right);
	}
	*result = holds(op.sign, order);
	return true;
}

bool compare_parse_level(struct str text, int64_t *level)
{
	int64_t value = 0, part;

	for (int i = 0; i < 3; i++) {
		ptrdiff_t dot = text.p ? str_find(text, '.') : -1;
		size_t n = dot < 0 || i == 2 ? text.n : (size_t)dot;

		if (!text.p)
			part = 0;
		else if (!str_to_i64(str_first(text, n), 0, 65535, &part))
			return false;
		value = value * 65536 + part;
		text = dot < 0 ? (struct str){NULL, 0} : str_from(text, n + 1);
	}
	*level = value;
	return true;
}
