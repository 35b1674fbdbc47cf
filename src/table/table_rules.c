#include "table/table_rules.h"

#include "base/mem.h"
#include "table/table_watch.h"
#include <ctype.h>

struct rules *rules_new(void (*free_pattern)(void *pattern))
{
	struct rules *r = x_alloc(sizeof(*r));

	r->free_pattern = free_pattern;
	return r;
}

void rules_free(struct rules *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->count; i++) {
		if (r->list[i].pattern)
			r->free_pattern(r->list[i].pattern);
		free((char *)r->list[i].result.p);
	}
	x_free(&r->list);
	x_free(&r->open);
	x_free(&r);
}

/* The source may hold NUL bytes. */
static const char *copy_bytes(struct str s)
{
	char *copy = x_alloc(s.n + 1);

	memcpy(copy, s.p, s.n);
	return copy;
}

void rules_add(struct rules *r, const struct rule *rule)
{
	if (r->count == r->room) {
		r->room = r->room ? 2 * r->room : 16;
		r->list = x_realloc(r->list, r->room * sizeof(*r->list));
	}
	r->list[r->count] = *rule;
	r->list[r->count].result.p = copy_bytes(rule->result);
	if (rule->op == RULE_IF) {
		r->open = x_realloc(r->open, (r->open_count + 1) * sizeof(*r->open));
		r->open[r->open_count++] = r->count;
	}
	r->count++;
}

bool rules_endif(struct rules *r)
{
	if (r->open_count == 0)
		return false;
	r->list[r->open[--r->open_count]].next = r->count;
	return true;
}

void rules_finish(struct rules *r, struct table *t)
{
	while (r->open_count > 0) {
		struct rule *rule = &r->list[r->open[r->open_count - 1]];

		rules_warn(t, rule->line, "IF has no matching ENDIF");
		rules_endif(r);
	}
	x_free(&r->open);
}

uint64_t *rules_set(const struct rules *r)
{
	return x_alloc(RULES_WORDS(r->count) * sizeof(uint64_t));
}

/* The first of the set from `at` on, or end. */
static size_t next_of(const uint64_t *set, size_t at, size_t end)
{
	while (at < end) {
		uint64_t rest = set[at / 64] >> at % 64;

		if (rest) {
			at += (size_t)__builtin_ctzll(rest);
			return at < end ? at : end;
		}
		at = (at / 64 + 1) * 64;
	}
	return end;
}

const struct rule *rules_find(const struct rules *r, const uint64_t *tried, size_t end, rule_match_fn match,
	void *arg, bool *trouble)
{
	*trouble = false;
	for (size_t i = 0; (i = next_of(tried, i, end)) < end;) {
		const struct rule *rule = &r->list[i];
		int hit = match(rule, arg);

		if (hit < 0) {
			*trouble = true;
			return NULL;
		}
		if ((hit > 0) == rule->negated)
			i = rule->op == RULE_IF ? rule->next : i + 1;
		else if (rule->op == RULE_IF)
			i++;
		else
			return rule;
	}
	return NULL;
}

bool rules_read(struct table *t, const char *name, void (*line)(struct table *t, struct str text, int number),
	struct err *err)
{
	struct source source;
	struct str text;

	if (name[0] == '{') {
		if (!source_inline(&source, str_c(name), err))
			return err_prefix(err, "%s map", t->type->name);
	} else {
		table_watch_file(t, name, WATCH_EDITED);
		if (!source_open(&source, name, err))
			return false;
	}
	while (source_next(&source, &text)) {
		if (source.line.orphan)
			source_warn_orphan(t, name, &source);
		else
			line(t, text, source.line.first);
	}
	source_close(&source);
	return true;
}

void rules_warn(struct table *t, int line, const char *fmt, ...)
{
	struct buf text = BUF(2000);
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	table_warn(
		t, "%s map %s, line %d: %s", t->type->name, strchr(t->spec, ':') + 1, line, buf_cstr(&text));
	buf_free(&text);
}

bool rules_keyword(struct str *text, const char *keyword)
{
	size_t n = strlen(keyword);

	if (!str_case_is(str_first(*text, n), keyword))
		return false;
	if (text->n > n && isalnum((unsigned char)text->p[n]))
		return false;
	*text = str_strip(str_from(*text, n));
	return true;
}
