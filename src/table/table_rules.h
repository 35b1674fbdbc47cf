/* Rules that are tried in order, with nested if ... endif: what cidr:, regexp: and pcre: have in common. */
#ifndef TABLE_TABLE_RULES_H
#define TABLE_TABLE_RULES_H

#include "table/table_type.h"

struct rule {
	enum { RULE_MATCH, RULE_IF, RULE_ENDIF } op;
	bool negated;
	int line;
	size_t next;	   /* RULE_IF: where to go on when it does not match */
	void *pattern;	   /* the type's own; NULL for RULE_ENDIF */
	struct str result; /* RULE_MATCH: owned */
};

struct rules {
	struct rule *list;
	size_t count, room;
	size_t *open; /* the ifs without endif so far, while reading */
	size_t open_count;
	void (*free_pattern)(void *pattern);
};

struct rules *rules_new(void (*free_pattern)(void *pattern));
void rules_free(struct rules *r);
/* Takes the pattern; the result is copied. rule->next is filled in here. */
void rules_add(struct rules *r, const struct rule *rule);
bool rules_endif(struct rules *r); /* false: no open if */
/* Ends the reading: ifs that are still open reach to the end, each with a warning: "type map name, line n: IF
 * has no matching ENDIF". */
void rules_finish(struct rules *r, struct table *t);

/* 1: the pattern matches; 0: not; -1: trouble, which ends the search. `negated` is not its business. */
typedef int (*rule_match_fn)(const struct rule *rule, void *arg);
/* The first rule that applies; NULL: none, or trouble (*trouble true). Only rules before `end` and in `tried`
 * are looked at: the caller knows that no other one applies. What is inside an if that does not match is
 * skipped. */
const struct rule *rules_find(const struct rules *r, const uint64_t *tried, size_t end, rule_match_fn match,
	void *arg, bool *trouble);

/* Sets of rules: bit i % 64 of word i / 64 is rule i. */
#define RULES_WORDS(count) ((count) / 64 + 1)
uint64_t *rules_set(const struct rules *r); /* empty; the caller frees it */
static inline void rules_set_add(uint64_t *set, size_t rule)
{
	set[rule / 64] |= (uint64_t)1 << rule % 64;
}
static inline bool rules_set_has(const uint64_t *set, size_t rule)
{
	return set[rule / 64] >> rule % 64 & 1;
}

/* Reads a source file or an inline { } list; each logical line is given to line(). */
bool rules_read(struct table *t, const char *name, void (*line)(struct table *t, struct str text, int number),
	struct err *err);
/* Adds a warning with "type map name, line n: " before it. */
void rules_warn(struct table *t, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Takes the keyword "if" or "endif" in any case, with no letter or digit after it, off *text. */
bool rules_keyword(struct str *text, const char *keyword);

#endif
