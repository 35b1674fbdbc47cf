/* cidr:/file: networks and addresses (cidr_table(5)). */
#include "base/mem.h"
#include "base/net.h"
#include "table/cidr_index.h"
#include "table/table_rules.h"
#include <arpa/inet.h>
#include <ctype.h>

struct cidr_table {
	struct rules *rules;
	struct cidr_index *index; /* of the rules that no negation has to do with */
	uint64_t *others;	  /* the set of the other rules */
};

/* "[2001:db8::]/32", "[2001:db8::/32]" and "2001:db8::/32" are the same. */
static bool cidr_without_brackets(struct str text, struct buf *plain, struct err *err)
{
	ptrdiff_t end = str_find(text, ']');
	struct str rest;

	if (text.p[0] != '[') {
		buf_str(plain, text);
		return true;
	}
	if (end < 0)
		return err_set(err, "missing ']' character after \"" STR_FMT "\"", STR_ARG(text));
	rest = str_from(text, (size_t)end + 1);
	if (rest.n && rest.p[0] != '/')
		return err_set(
			err, "garbage after \"" STR_FMT "\"", STR_ARG(str_first(text, (size_t)end + 1)));
	buf_str(plain, str_first(str_from(text, 1), (size_t)end - 1));
	buf_str(plain, rest);
	return true;
}

static void cidr_mask(const struct net_addr *a, int bits, struct buf *out)
{
	unsigned char addr[16];
	bool v4 = a->ss.ss_family == AF_INET;
	char text[NET_HOST_MAX], host[NET_HOST_MAX];

	inet_pton(a->ss.ss_family, net_host(a, host), addr);
	for (int i = bits; i < (v4 ? 32 : 128); i++)
		addr[i / 8] &= (unsigned char)~(0x80 >> i % 8);
	buf_printf(out, "%s/%d", inet_ntop(a->ss.ss_family, addr, text, sizeof(text)), bits);
}

static bool cidr_host_bits(struct str text, const struct net_addr *a, int bits, struct err *err)
{
	struct buf better = BUF(100);

	cidr_mask(a, bits, &better);
	err_set(err, "non-null host address bits in \"" STR_FMT "\", perhaps you should use \"%s\" instead",
		STR_ARG(text), buf_cstr(&better));
	buf_free(&better);
	return false;
}

/* Why text, without brackets, is not a network. */
static bool cidr_explain(struct str text, struct err *err)
{
	ptrdiff_t slash = str_find(text, '/');
	struct str address = slash < 0 ? text : str_first(text, (size_t)slash);
	bool mapped = str_find(address, ':') >= 0, known;
	struct net_addr a;
	uint64_t bits;

	known = net_parse_ip(address, 0, &a);
	if (slash < 0)
		return err_set(err, "bad address pattern: \"" STR_FMT "\"", STR_ARG(text));
	if (!str_to_u64(str_from(text, (size_t)slash + 1), INT32_MAX, &bits))
		return err_set(err, "bad mask value in \"" STR_FMT "\"", STR_ARG(text));
	if (!known)
		return err_set(err, "bad network value in \"" STR_FMT "\"", STR_ARG(text));
	mapped = mapped && a.ss.ss_family == AF_INET;
	if (mapped && bits >= 96 && bits <= 128)
		return cidr_host_bits(text, &a, (int)bits - 96, err);
	if (mapped || bits > (a.ss.ss_family == AF_INET ? 32 : 128))
		return err_set(err, "bad mask length in \"" STR_FMT "\"", STR_ARG(text));
	return cidr_host_bits(text, &a, (int)bits, err);
}

static bool cidr_parse(struct str text, struct net_cidr *net, struct err *err)
{
	struct buf plain = BUF(text.n + 1);
	bool ok = cidr_without_brackets(text, &plain, err) &&
		  (net_parse_cidr(buf_slice(&plain), net, NULL) || cidr_explain(buf_slice(&plain), err));

	buf_free(&plain);
	return ok;
}

static bool cidr_pattern(struct table *t, struct str *text, struct rule *rule, bool whole_line)
{
	struct net_cidr net;
	struct str pattern;
	struct err err;
	size_t n = 0;

	while (text->n && text->p[0] == '!') {
		rule->negated = !rule->negated;
		*text = str_strip(str_from(*text, 1));
	}
	while (n < text->n && (whole_line || !isspace((unsigned char)text->p[n])))
		n++;
	pattern = str_first(*text, n);
	*text = str_strip(str_from(*text, n));
	if (pattern.n == 0) {
		rules_warn(t, rule->line, "no address pattern: skipping this rule");
		return false;
	}
	if (!cidr_parse(pattern, &net, &err)) {
		rules_warn(t, rule->line, "%s: skipping this rule", err.text);
		return false;
	}
	rule->pattern = x_alloc(sizeof(net));
	memcpy(rule->pattern, &net, sizeof(net));
	return true;
}

static void cidr_match_rule(struct table *t, struct str text, struct rule *rule)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct err err;

	if (!cidr_pattern(t, &text, rule, false))
		return;
	if (text.n == 0)
		rules_warn(t, rule->line, "no lookup result: skipping this rule");
	else if (!table_value(t, text, &value, &err))
		rules_warn(t, rule->line, "%s: skipping this rule", err.text);
	else {
		rule->result = buf_slice(&value);
		rules_add(((struct cidr_table *)t->state)->rules, rule);
		rule->pattern = NULL;
	}
	x_free(&rule->pattern);
	buf_free(&value);
}

static void cidr_line(struct table *t, struct str text, int number)
{
	struct rule rule = {.op = RULE_MATCH, .line = number, .result = STR("")};
	struct rules *rules = ((struct cidr_table *)t->state)->rules;

	if (rules_keyword(&text, "endif")) {
		if (text.n)
			rules_warn(t, number, "garbage after ENDIF: skipping this rule");
		else if (!rules_endif(rules))
			rules_warn(t, number, "ENDIF without IF: skipping this rule");
	} else if (rules_keyword(&text, "if")) {
		rule.op = RULE_IF;
		if (cidr_pattern(t, &text, &rule, true))
			rules_add(rules, &rule);
	} else {
		cidr_match_rule(t, text, &rule);
	}
}

static void cidr_free_pattern(void *pattern)
{
	x_free(&pattern);
}

/* Inside an if while indexing. */
struct cidr_scope {
	size_t rule;		    /* the if */
	bool plain;		    /* neither it nor those around it are negated: then */
	bool never;		    /* no address is in all their networks, */
	const struct net_cidr *net; /* or those of this one are, which is within the others */
};

struct cidr_scopes {
	struct cidr_scope *list;
	size_t count, room;
};

static bool cidr_within(const struct net_cidr *inner, const struct net_cidr *outer)
{
	struct net_cidr shortened = *inner;

	if (inner->family != outer->family || inner->bits < outer->bits)
		return false;
	for (int bit = outer->bits; bit < 128; bit++)
		shortened.addr[bit / 8] &= (unsigned char)~(0x80 >> bit % 8);
	return memcmp(shortened.addr, outer->addr, sizeof(shortened.addr)) == 0;
}

/* The addresses for which the rule is reached and matches. */
static struct cidr_scope cidr_scope_of(const struct cidr_scopes *s, const struct rule *rule, size_t number)
{
	const struct cidr_scope *around = s->count ? &s->list[s->count - 1] : NULL;
	struct cidr_scope scope = {number, !rule->negated, false, rule->pattern};

	if (!around)
		return scope;
	scope.plain = scope.plain && around->plain;
	scope.never = around->never;
	if (!scope.plain || scope.never || cidr_within(scope.net, around->net))
		return scope;
	scope.never = !cidr_within(around->net, scope.net);
	scope.net = around->net;
	return scope;
}

static void cidr_scope_enter(struct cidr_scopes *s, const struct cidr_scope *scope)
{
	if (s->count == s->room) {
		s->room = s->room ? 2 * s->room : 16;
		s->list = x_realloc(s->list, s->room * sizeof(*s->list));
	}
	s->list[s->count++] = *scope;
}

/* A rule that has to be tried, and with it the ifs around it. */
static void cidr_index_other(struct cidr_table *c, const struct cidr_scopes *s, size_t rule)
{
	rules_set_add(c->others, rule);
	for (size_t i = s->count; i > 0 && !rules_set_has(c->others, s->list[i - 1].rule); i--)
		rules_set_add(c->others, s->list[i - 1].rule);
}

static void cidr_index_rules(struct cidr_table *c)
{
	struct cidr_scopes scopes = {0};

	c->index = cidr_index_new();
	c->others = rules_set(c->rules);
	for (size_t i = 0; i < c->rules->count; i++) {
		const struct rule *rule = &c->rules->list[i];
		struct cidr_scope scope;

		while (scopes.count && c->rules->list[scopes.list[scopes.count - 1].rule].next <= i)
			scopes.count--;
		scope = cidr_scope_of(&scopes, rule, i);
		if (rule->op == RULE_IF)
			cidr_scope_enter(&scopes, &scope);
		else if (!scope.plain)
			cidr_index_other(c, &scopes, i);
		else if (!scope.never)
			cidr_index_add(c->index, scope.net, i);
	}
	cidr_index_finish(c->index);
	x_free(&scopes.list);
}

static bool cidr_open(struct table *t, const char *name, struct err *err)
{
	struct cidr_table *c = x_alloc(sizeof(*c));

	t->state = c;
	c->rules = rules_new(cidr_free_pattern);
	if (!rules_read(t, name, cidr_line, err))
		return false;
	rules_finish(c->rules, t);
	cidr_index_rules(c);
	return true;
}

static void cidr_close(struct table *t)
{
	struct cidr_table *c = t->state;

	rules_free(c->rules);
	cidr_index_free(&c->index);
	x_free(&c->others);
	x_free(&t->state);
}

/* A negated network says nothing about addresses of the other family. */
static int cidr_match(const struct rule *rule, void *arg)
{
	const struct net_cidr *net = rule->pattern;
	const struct net_addr *a = arg;

	if (net->family != a->ss.ss_family)
		return rule->negated;
	return net_cidr_match(net, a);
}

static enum table_status cidr_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	const struct cidr_table *c = t->state;
	const struct rule *rule;
	struct net_addr a;
	size_t indexed;
	bool trouble;

	if (!net_parse_ip(key, 0, &a))
		return TABLE_NOT_FOUND;
	indexed = cidr_index_find(c->index, &a);
	rule = rules_find(c->rules, c->others, indexed < c->rules->count ? indexed : c->rules->count,
		cidr_match, &a, &trouble);
	if (!rule && indexed == CIDR_INDEX_NONE)
		return TABLE_NOT_FOUND;
	buf_str(value, rule ? rule->result : c->rules->list[indexed].result);
	return TABLE_FOUND;
}

const struct table_type table_type_cidr = {
	.name = "cidr", .pattern = true, .open = cidr_open, .close = cidr_close, .lookup = cidr_lookup};
