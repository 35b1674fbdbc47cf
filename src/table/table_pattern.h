/* What regexp: and pcre: have in common: /pattern/flags, if and endif, $1 in results (regexp_table(5),
 * pcre_table(5)). */
#ifndef TABLE_TABLE_PATTERN_H
#define TABLE_TABLE_PATTERN_H

#include "table/table_rules.h"

#define PATTERN_GROUPS_MAX 100 /* $1 to $99 */

struct pattern_group {
	ptrdiff_t start, end; /* in the key; start -1: took no part in the match */
};

struct pattern_match {
	struct str key;
	struct pattern_group groups[PATTERN_GROUPS_MAX]; /* [0]: the whole match */
	bool trouble;
};

struct pattern_flag {
	char letter;
	int bit;
};

struct pattern_engine {
	const struct pattern_flag *flags; /* ends with letter 0 */
	int default_flags;
	bool second;		  /* "/a/!/b/": matches a and not b */
	const char *obsolete;	  /* flag letters that are ignored with a warning */
	const char *no_delimiter; /* "skipping" or "ignoring" this rule */
	bool (*plain)(int flags); /* whether pattern_literals() can read patterns with these flags */
	/* NULL with the reason in err. */
	void *(*compile)(struct str pattern, int flags, struct err *err);
	size_t (*groups)(const void *pattern);
	/* 1, 0, or -1: trouble. */
	int (*match)(const void *pattern, struct pattern_match *m);
	void (*free)(void *pattern);
};

/* The table type's functions, given its engine. */
bool pattern_open(struct table *t, const struct pattern_engine *engine, const char *name, struct err *err);
void pattern_close(struct table *t);
enum table_status pattern_lookup(struct table *t, struct str key, struct buf *value, struct err *err);

/* Results: "$1", "${1}", "$(1)", "$$". */
enum { RESULT_PLAIN, RESULT_GROUPS, RESULT_BAD };
/* Checks the text; *highest is the highest group it names. RESULT_BAD: the reason is in err. */
int pattern_result_check(struct str text, size_t *highest, struct err *err);
void pattern_result_expand(struct str text, const struct pattern_match *m, struct buf *out);

#endif
