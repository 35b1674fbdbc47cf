#include "table/table_pattern.h"

#include "base/mem.h"
#include "table/literal_index.h"
#include <ctype.h>

#define FEW_RULES 1024 /* a lookup's set of so many needs no memory of its own */

struct pattern_table {
	const struct pattern_engine *engine;
	struct rules *rules;
	struct literal_index *index; /* of the rules that need a literal in the key */
	uint64_t *others;	     /* the set of the rules that are tried with every key */
};

/* A rule's pattern. */
struct expression {
	const struct pattern_engine *engine;
	void *first, *second;	  /* second: NULL without one; with it, the rule itself is not negated */
	bool no_first, no_second; /* with a second: must not match */
	bool literal;		  /* the result has no $ in it */
	struct literals needed;	  /* by first; while the table is read */
};

static void expression_free(void *pattern)
{
	struct expression *e = pattern;

	if (e->first)
		e->engine->free(e->first);
	if (e->second)
		e->engine->free(e->second);
	buf_free(&e->needed.text);
	x_free(&e);
}

static bool toggle_flag(
	struct table *t, const struct pattern_engine *engine, char letter, int line, int *flags)
{
	for (const struct pattern_flag *f = engine->flags; f->letter; f++) {
		if (f->letter == letter) {
			*flags ^= f->bit;
			return true;
		}
	}
	if (!engine->obsolete || !strchr(engine->obsolete, letter)) {
		rules_warn(t, line, "unknown regexp option \"%c\": skipping this rule", letter);
		return false;
	}
	rules_warn(t, line, "ignoring obsolete regexp option \"%c\"", letter);
	return true;
}

/* The index of the closing delimiter, skipping what a backslash protects; 0: none. */
static size_t delimiter_end(struct str text)
{
	for (size_t i = 1; i < text.n; i++) {
		if (text.p[i] == '\\' && i + 1 < text.n)
			i++;
		else if (text.p[i] == text.p[0])
			return i;
	}
	return 0;
}

/* Takes "/pattern/flags" off *text and compiles it. needed: the literals that it needs; may be NULL. */
static void *take_pattern(struct table *t, const struct pattern_engine *engine, struct str *text, int line,
	struct literals *needed)
{
	size_t end = delimiter_end(*text);
	int flags = engine->default_flags;
	struct str pattern;
	struct err err;
	void *compiled;

	if (end == 0) {
		rules_warn(t, line, "no closing regexp delimiter \"%c\": %s this rule", text->p[0],
			engine->no_delimiter);
		return NULL;
	}
	pattern = str_first(str_from(*text, 1), end - 1);
	*text = str_from(*text, end + 1);
	while (text->n && !isspace((unsigned char)text->p[0]) && !(engine->second && text->p[0] == '!')) {
		if (!toggle_flag(t, engine, text->p[0], line, &flags))
			return NULL;
		*text = str_from(*text, 1);
	}
	compiled = engine->compile(pattern, flags, &err);
	if (!compiled)
		rules_warn(t, line, "%s", err.text);
	else if (needed && engine->plain(flags))
		pattern_literals(pattern, needed);
	return compiled;
}

static void take_negations(struct str *text, bool *negated)
{
	while (text->n && text->p[0] == '!') {
		*negated = !*negated;
		*text = str_strip(str_from(*text, 1));
	}
}

/* Takes "!/pattern/flags", which stands behind the first pattern. */
static bool take_second(struct table *t, struct expression *e, struct str *text, struct rule *rule)
{
	e->no_first = rule->negated;
	rule->negated = false;
	take_negations(text, &e->no_second);
	if (text->n)
		e->second = take_pattern(t, e->engine, text, rule->line, NULL);
	else
		rules_warn(t, rule->line, "no regexp: skipping this rule");
	return e->second != NULL;
}

/* Takes the whole expression; NULL: the rule is skipped, a warning says why. */
static struct expression *take_expression(struct table *t, struct str *text, struct rule *rule)
{
	const struct pattern_engine *engine = ((struct pattern_table *)t->state)->engine;
	struct expression *e;
	bool ok;

	take_negations(text, &rule->negated);
	if (text->n == 0) {
		rules_warn(t, rule->line, "no regexp: skipping this rule");
		return NULL;
	}
	e = x_alloc(sizeof(*e));
	e->engine = engine;
	e->first = take_pattern(t, engine, text, rule->line, &e->needed);
	ok = e->first != NULL;
	if (ok && engine->second && rule->op == RULE_MATCH && text->n && text->p[0] == '!')
		ok = take_second(t, e, text, rule);
	*text = str_strip(*text);
	if (ok)
		return e;
	expression_free(e);
	return NULL;
}

/* Whether the result may be used with the expression; a warning says why not. */
static bool result_fits(struct table *t, const struct rule *rule, struct expression *e, struct str text)
{
	size_t highest, groups = e->engine->groups(e->first);
	struct err err;
	int kind = pattern_result_check(text, &highest, &err);

	if (kind == RESULT_BAD) {
		rules_warn(t, rule->line, "%s", err.text);
		rules_warn(t, rule->line, "bad replacement syntax: skipping this rule");
		return false;
	}
	e->literal = kind == RESULT_PLAIN;
	if (highest == 0)
		return true;
	if (rule->negated || e->no_first)
		rules_warn(t, rule->line,
			"$number found in negative match replacement text: skipping this rule");
	else if (t->flags & TABLE_NO_SUBST)
		rules_warn(
			t, rule->line, "regular expression substitution is not allowed: skipping this rule");
	else if (highest > groups || highest >= PATTERN_GROUPS_MAX)
		rules_warn(
			t, rule->line, "out of range replacement index \"%zu\": skipping this rule", highest);
	else
		return true;
	return false;
}

static bool set_result(
	struct table *t, struct rule *rule, struct expression *e, struct str text, struct buf *value)
{
	struct err err;

	if (text.n == 0)
		rules_warn(t, rule->line, "no replacement text: using empty string");
	if (t->flags & TABLE_FILES)
		e->literal = true;
	else if (!result_fits(t, rule, e, text))
		return false;
	if (!table_value(t, text, value, &err)) {
		rules_warn(t, rule->line, "%s: skipping this rule", err.text);
		return false;
	}
	rule->result = buf_slice(value);
	return true;
}

static void add_match(struct table *t, struct str text, int line)
{
	struct rule rule = {.op = RULE_MATCH, .line = line};
	struct expression *e = take_expression(t, &text, &rule);
	struct buf value = BUF(TABLE_VALUE_MAX);

	if (!e)
		return;
	rule.pattern = e;
	if (set_result(t, &rule, e, text, &value))
		rules_add(((struct pattern_table *)t->state)->rules, &rule);
	else
		expression_free(e);
	buf_free(&value);
}

static void add_if(struct table *t, struct str text, int line)
{
	struct rule rule = {.op = RULE_IF, .line = line, .result = STR("")};
	struct expression *e = take_expression(t, &text, &rule);

	if (!e)
		return;
	if (text.n) {
		rules_warn(t, line, "ignoring extra text after IF statement: \"" STR_FMT "\"", STR_ARG(text));
		rules_warn(t, line, "do not prepend whitespace to statements between IF and ENDIF");
	}
	rule.pattern = e;
	rules_add(((struct pattern_table *)t->state)->rules, &rule);
}

static void pattern_line(struct table *t, struct str text, int line)
{
	if (rules_keyword(&text, "endif")) {
		if (!rules_endif(((struct pattern_table *)t->state)->rules))
			rules_warn(t, line, "ignoring ENDIF without matching IF");
		else if (text.n)
			rules_warn(t, line, "ignoring extra text after ENDIF");
	} else if (rules_keyword(&text, "if")) {
		add_if(t, text, line);
	} else if (isalnum((unsigned char)text.p[0])) {
		rules_warn(t, line, "ignoring unrecognized request");
	} else {
		add_match(t, text, line);
	}
}

/* What a negated rule needs says nothing about when it applies. Ifs are tried as well: they are few, and
 * guard many. */
static void pattern_index(struct pattern_table *p)
{
	p->index = literal_index_new();
	p->others = rules_set(p->rules);
	for (size_t i = 0; i < p->rules->count; i++) {
		const struct rule *rule = &p->rules->list[i];
		struct expression *e = rule->pattern;

		if (rule->op == RULE_IF || rule->negated || e->no_first ||
			!literal_index_add(p->index, i, &e->needed))
			rules_set_add(p->others, i);
		buf_free(&e->needed.text);
	}
	literal_index_finish(p->index);
}

bool pattern_open(struct table *t, const struct pattern_engine *engine, const char *name, struct err *err)
{
	struct pattern_table *p = x_alloc(sizeof(*p));

	p->engine = engine;
	p->rules = rules_new(expression_free);
	t->state = p;
	if (!rules_read(t, name, pattern_line, err))
		return false;
	rules_finish(p->rules, t);
	pattern_index(p);
	return true;
}

void pattern_close(struct table *t)
{
	struct pattern_table *p = t->state;

	rules_free(p->rules);
	literal_index_free(&p->index);
	x_free(&p->others);
	x_free(&t->state);
}

static int expression_match(const struct rule *rule, void *arg)
{
	const struct expression *e = rule->pattern;
	struct pattern_match *m = arg, other;
	int hit = e->engine->match(e->first, m);

	if (hit < 0 || !e->second)
		return hit;
	if ((hit > 0) == e->no_first)
		return 0;
	other.key = m->key;
	hit = e->engine->match(e->second, &other);
	return hit < 0 ? hit : (hit > 0) != e->no_second;
}

/* Of the rules that may apply to the key. */
static const struct rule *find_rule(const struct pattern_table *p, struct pattern_match *m, bool *trouble)
{
	uint64_t few[RULES_WORDS(FEW_RULES)], *tried = few;
	const size_t words = RULES_WORDS(p->rules->count);
	const struct rule *rule;

	if (p->rules->count > FEW_RULES)
		tried = rules_set(p->rules);
	memcpy(tried, p->others, words * sizeof(*tried));
	literal_index_mark(p->index, m->key, tried);
	rule = rules_find(p->rules, tried, p->rules->count, expression_match, m, trouble);
	if (tried != few)
		x_free(&tried);
	return rule;
}

enum table_status pattern_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	struct pattern_table *p = t->state;
	struct pattern_match m = {.key = key};
	const struct rule *rule;
	bool trouble;

	rule = find_rule(p, &m, &trouble);
	if (trouble) {
		err_set(err, "matching was given up: too much work or memory");
		return TABLE_RETRY;
	}
	if (!rule)
		return TABLE_NOT_FOUND;
	if (((const struct expression *)rule->pattern)->literal)
		buf_str(value, rule->result);
	else
		pattern_result_expand(rule->result, &m, value);
	return TABLE_FOUND;
}
