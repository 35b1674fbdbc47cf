/* regexp:/file: POSIX regular expressions. */
#include "base/mem.h"
#include "table/table_pattern.h"
#include <regex.h>

static const struct pattern_flag regexp_flags[] = {
	{'i', REG_ICASE}, {'m', REG_NEWLINE}, {'x', REG_EXTENDED}, {0, 0}};

static void *regexp_compile(struct str pattern, int flags, struct err *err)
{
	char *text = x_strndup(pattern.p, pattern.n);
	regex_t *re = x_alloc(sizeof(*re));
	int error = regcomp(re, text, flags);

	x_free(&text);
	if (error) {
		char why[200];

		regerror(error, re, why, sizeof(why));
		err_set(err, "%s", why);
		x_free(&re);
	}
	return re;
}

static bool regexp_plain(int flags)
{
	return flags & REG_EXTENDED;
}

static size_t regexp_groups(const void *pattern)
{
	return ((const regex_t *)pattern)->re_nsub;
}

/*
 * REG_STARTEND: the key has a length, so a NUL byte does not hide what follows it. The string must end all
 * the same: that nothing behind the end is read is not promised.
 */
static int regexp_match(const void *pattern, struct pattern_match *m)
{
	regmatch_t found[PATTERN_GROUPS_MAX];
	char *text = x_alloc(m->key.n + 1);
	size_t count = regexp_groups(pattern) + 1;
	int error;

	found[0] = (regmatch_t){0, (regoff_t)m->key.n};
	if (count > PATTERN_GROUPS_MAX)
		count = PATTERN_GROUPS_MAX;
	memcpy(text, m->key.p, m->key.n);
	error = regexec(pattern, text, count, found, REG_STARTEND);
	x_free(&text);
	if (error)
		return error == REG_NOMATCH ? 0 : -1;
	for (size_t i = 0; i < count; i++)
		m->groups[i] = (struct pattern_group){found[i].rm_so, found[i].rm_eo};
	return 1;
}

static void regexp_free(void *pattern)
{
	regfree(pattern);
	x_free(&pattern);
}

static const struct pattern_engine regexp_engine = {
	.flags = regexp_flags,
	.default_flags = REG_ICASE | REG_EXTENDED,
	.second = true,
	.no_delimiter = "skipping",
	.plain = regexp_plain,
	.compile = regexp_compile,
	.groups = regexp_groups,
	.match = regexp_match,
	.free = regexp_free,
};

static bool regexp_open(struct table *t, const char *name, struct err *err)
{
	return pattern_open(t, &regexp_engine, name, err);
}

const struct table_type table_type_regexp = {.name = "regexp",
	.pattern = true,
	.open = regexp_open,
	.close = pattern_close,
	.lookup = pattern_lookup};
