#include "qmgr/feedback.h"

#include <errno.h>
#include <math.h>

#include "base/mem.h"

static bool parse_amount(struct str text, double *out)
{
	char *copy = x_strndup(text.p, text.n);
	char *end;
	bool ok;

	errno = 0;
	*out = strtod(copy, &end);
	ok = end != copy && *end == '\0' && errno == 0 && *out >= 0 && *out <= 1;
	x_free(&copy);
	return ok;
}

bool feedback_parse(struct str text, struct feedback *out, struct err *err)
{
	struct str rest = str_trim(text);
	ptrdiff_t slash = str_find(rest, '/');
	struct str amount = slash < 0 ? rest : str_trim(str_first(rest, (size_t)slash));
	struct str divisor = slash < 0 ? STR("") : str_trim(str_from(rest, (size_t)slash + 1));

	out->divisor = FEEDBACK_CONSTANT;
	if (slash >= 0 && str_is(divisor, "concurrency"))
		out->divisor = FEEDBACK_CONCURRENCY;
	else if (slash >= 0 && str_is(divisor, "sqrt_concurrency"))
		out->divisor = FEEDBACK_SQRT;
	else if (slash >= 0)
		return err_set(err, "bad feedback \"" STR_FMT "\"", STR_ARG(text));
	if (!parse_amount(amount, &out->amount))
		return err_set(err, "bad feedback \"" STR_FMT "\": want a number from 0 to 1", STR_ARG(text));
	return true;
}

static double step(const struct feedback *f, int size)
{
	switch (f->divisor) {
	case FEEDBACK_CONCURRENCY:
		return f->amount / size;
	case FEEDBACK_SQRT:
		return f->amount / sqrt(size);
	default:
		return f->amount;
	}
}

void window_init(struct window *w, const struct feedback_settings *s)
{
	*w = (struct window){.size = s->initial};
	if (s->limit > 0 && w->size > s->limit)
		w->size = s->limit;
}

bool window_open(const struct window *w, const struct feedback_settings *s, int busy)
{
	return s->limit == 0 ? true : busy < w->size;
}

/* A window that is not used up does not grow: its size would say nothing about what the destination can take.
 */
void window_success(struct window *w, const struct feedback_settings *s, int busy)
{
	w->cohorts = 0;
	if (s->limit > 0 && w->size >= s->limit)
		return;
	if (w->size > busy + s->initial)
		return;
	w->credit += step(&s->positive, w->size);
	if (w->credit >= 1) {
		w->credit -= 1;
		w->size++;
	}
}

bool window_failure(struct window *w, const struct feedback_settings *s)
{
	w->cohorts += 1.0 / w->size;
	if (s->cohort_limit > 0 && w->cohorts >= s->cohort_limit - 1e-9)
		return true;
	w->credit -= step(&s->negative, w->size);
	while (w->credit < 0) {
		w->credit += 1;
		if (w->size > 1)
			w->size--;
	}
	return false;
}
