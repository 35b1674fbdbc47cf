#include "table/pattern_literals.h"

#include <ctype.h>

#define DEPTH_MAX 30 /* groups within groups */

enum repeat { ONCE, AT_LEAST_ONCE, MAYBE };

struct reader {
	struct str s;
	size_t at;
	int depth;
	bool failed; /* nothing can be said about the whole */
};

/* Parts of an expression that follow each other. */
struct sequence {
	struct buf run; /* literal bytes that stand side by side */
	struct literals best;
};

static void alternatives(struct reader *r, struct literals *out);

static int peek(const struct reader *r, size_t ahead)
{
	return r->at + ahead < r->s.n ? (unsigned char)r->s.p[r->at + ahead] : -1;
}

/* Keeps the one whose shortest literal is longer; frees the other. */
static void keep_better(struct literals *best, struct literals *other)
{
	struct literals worse = *other;

	if (other->shortest > best->shortest) {
		worse = *best;
		*best = *other;
	}
	buf_free(&worse.text);
}

static void end_run(struct sequence *q)
{
	struct literals run = {.text = BUF(q->run.len + 1), .shortest = q->run.len};

	if (q->run.len == 0)
		return;
	buf_str(&run.text, buf_slice(&q->run));
	buf_putc(&run.text, '\0');
	keep_better(&q->best, &run);
	buf_clear(&q->run);
}

/* Takes "{2,3}"; a brace that is no repetition is taken alone. */
static void take_braces(struct reader *r)
{
	size_t n = 1;

	while (isdigit(peek(r, n)) || peek(r, n) == ',' || peek(r, n) == ' ')
		n++;
	r->at += peek(r, n) == '}' ? n + 1 : 1;
}

static enum repeat take_repeat(struct reader *r)
{
	size_t start = r->at;

	for (int c = peek(r, 0); c == '{' || c == '*' || c == '+' || c == '?'; c = peek(r, 0)) {
		if (c == '{')
			take_braces(r);
		else
			r->at++;
	}
	if (r->at == start)
		return ONCE;
	return r->at == start + 1 && r->s.p[start] == '+' ? AT_LEAST_ONCE : MAYBE;
}

/* Something that is not a literal: the run ends. */
static void unknown(struct reader *r, struct sequence *q)
{
	end_run(q);
	take_repeat(r);
}

static void literal(struct reader *r, struct sequence *q, int c)
{
	enum repeat repeat;

	if (c == 0 || c > 127) {
		unknown(r, q);
		return;
	}
	repeat = take_repeat(r);
	if (repeat != MAYBE)
		buf_putc(&q->run, (char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c));
	if (repeat != ONCE)
		end_run(q);
}

static void group(struct reader *r, struct sequence *q)
{
	struct literals inside;
	bool special = peek(r, 1) == '*' || (peek(r, 1) == '?' && peek(r, 2) != ':');

	end_run(q);
	if (special || r->depth == DEPTH_MAX) {
		r->failed = true;
		return;
	}
	r->at += peek(r, 1) == '?' ? 3 : 1;
	r->depth++;
	alternatives(r, &inside);
	r->depth--;
	if (peek(r, 0) != ')')
		r->failed = true;
	r->at++;
	if (take_repeat(r) == MAYBE)
		inside.shortest = 0;
	keep_better(&q->best, &inside);
}

/* Takes "[:name:]" inside brackets, where r is at its '['. */
static bool take_class_name(struct reader *r)
{
	size_t n = 2;

	while (isalpha(peek(r, n)) || peek(r, n) == '^')
		n++;
	if (peek(r, n) != ':' || peek(r, n + 1) != ']')
		return false;
	r->at += n + 2;
	return true;
}

/* Takes "[...]"; a backslash inside means different things to different engines. */
static bool take_brackets(struct reader *r)
{
	r->at += peek(r, 1) == '^' ? 2 : 1;
	if (peek(r, 0) == ']')
		r->at++;
	while (peek(r, 0) != ']') {
		int c = peek(r, 0), next = peek(r, 1);

		if (c < 0)
			return false;
		if (c == '\\' && (next < 0 || strchr("[]\\QE", next)))
			return false;
		if (c == '[' && next == ':') {
			if (!take_class_name(r))
				return false;
		} else if (c == '[' && (next == '.' || next == '=')) {
			return false;
		} else {
			r->at++;
		}
	}
	r->at++;
	return true;
}

static void brackets(struct reader *r, struct sequence *q)
{
	int c = peek(r, 1);

	if (peek(r, 2) == ']' && c != '^' && c != '\\' && c != '[' && c != ']') {
		r->at += 3;
		literal(r, q, c);
	} else if (take_brackets(r)) {
		unknown(r, q);
	} else {
		r->failed = true;
	}
}

static void escape(struct reader *r, struct sequence *q)
{
	int c = peek(r, 1);

	r->at += 2;
	if (c <= 0 || (isalnum(c) && !strchr("dDwWsSbBAZzGhHvVRntrefa", c)))
		r->failed = true;
	else if (isalnum(c) || strchr("`'<>", c))
		unknown(r, q);
	else
		literal(r, q, c);
}

static void part(struct reader *r, struct sequence *q)
{
	int c = peek(r, 0);

	if (c == '(') {
		group(r, q);
	} else if (c == '[') {
		brackets(r, q);
	} else if (c == '\\') {
		escape(r, q);
	} else if (c == '*' || c == '+' || c == '?' || c == '{') {
		unknown(r, q);
	} else if (c == '.' || c == '^' || c == '$') {
		r->at++;
		unknown(r, q);
	} else {
		r->at++;
		literal(r, q, c);
	}
}

static void sequence(struct reader *r, struct literals *out)
{
	struct sequence q = {.run = BUF(r->s.n), .best = {.text = BUF(0)}};

	while (!r->failed && r->at < r->s.n && peek(r, 0) != '|' && peek(r, 0) != ')')
		part(r, &q);
	end_run(&q);
	buf_free(&q.run);
	*out = q.best;
}

/* One literal of each alternative, as any of them may be the one that matches. */
static void alternatives(struct reader *r, struct literals *out)
{
	struct literals next;

	sequence(r, out);
	out->text.max = 2 * r->s.n + 2;
	while (!r->failed && peek(r, 0) == '|') {
		r->at++;
		sequence(r, &next);
		buf_str(&out->text, buf_slice(&next.text));
		out->shortest = next.shortest < out->shortest ? next.shortest : out->shortest;
		buf_free(&next.text);
	}
}

void pattern_literals(struct str pattern, struct literals *out)
{
	struct reader r = {.s = pattern};

	alternatives(&r, out);
	if (r.failed || r.at < pattern.n || str_has_nul(pattern) || out->text.over)
		out->shortest = 0;
}
