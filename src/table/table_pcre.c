/* pcre:/file: Perl-compatible regular expressions. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/mem.h"
#include "table/table_pattern.h"

#define MATCH_WORK_MAX 1000000 /* steps of backtracking; a pattern that needs more is trouble, not a hang */
#define MATCH_MEMORY_MAX 20000 /* kB */

enum { PCRE_I = 1, PCRE_M = 2, PCRE_S = 4, PCRE_X = 8, PCRE_A = 16, PCRE_E = 32, PCRE_U = 64 };

static const struct pattern_flag pcre_flags[] = {{'i', PCRE_I}, {'m', PCRE_M}, {'s', PCRE_S}, {'x', PCRE_X},
	{'A', PCRE_A}, {'E', PCRE_E}, {'U', PCRE_U}, {0, 0}};

static uint32_t pcre_options(int flags)
{
	static const struct {
		int flag;
		uint32_t option;
	} rows[] = {
		{PCRE_I, PCRE2_CASELESS},
		{PCRE_M, PCRE2_MULTILINE},
		{PCRE_S, PCRE2_DOTALL},
		{PCRE_X, PCRE2_EXTENDED},
		{PCRE_A, PCRE2_ANCHORED},
		{PCRE_E, PCRE2_DOLLAR_ENDONLY},
		{PCRE_U, PCRE2_UNGREEDY},
	};
	uint32_t options = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (flags & rows[i].flag)
			options |= rows[i].option;
	}
	return options;
}

static void *pcre_compile(struct str pattern, int flags, struct err *err)
{
	pcre2_code *code;
	PCRE2_SIZE offset;
	int error;

	code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, pcre_options(flags), &error, &offset, NULL);
	if (!code) {
		PCRE2_UCHAR why[200];

		pcre2_get_error_message(error, why, sizeof(why));
		err_set(err, "error in regex at offset %zu: %s", (size_t)offset, (const char *)why);
		return NULL;
	}
	pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
	return code;
}

static bool pcre_plain(int flags)
{
	return !(flags & PCRE_X);
}

static size_t pcre_groups(const void *pattern)
{
	uint32_t count = 0;

	pcre2_pattern_info(pattern, PCRE2_INFO_CAPTURECOUNT, &count);
	return count;
}

static void copy_groups(pcre2_match_data *data, size_t count, struct pattern_match *m)
{
	const PCRE2_SIZE *offsets = pcre2_get_ovector_pointer(data);

	for (size_t i = 0; i < PATTERN_GROUPS_MAX; i++) {
		bool set = i < count && offsets[2 * i] != PCRE2_UNSET;

		m->groups[i].start = set ? (ptrdiff_t)offsets[2 * i] : -1;
		m->groups[i].end = set ? (ptrdiff_t)offsets[2 * i + 1] : -1;
	}
}

static int pcre_match(const void *pattern, struct pattern_match *m)
{
	pcre2_match_data *data = pcre2_match_data_create_from_pattern(pattern, NULL);
	pcre2_match_context *context = pcre2_match_context_create(NULL);
	int count = -1;

	if (data && context) {
		pcre2_set_match_limit(context, MATCH_WORK_MAX);
		pcre2_set_heap_limit(context, MATCH_MEMORY_MAX);
		count = pcre2_match(pattern, (PCRE2_SPTR)m->key.p, m->key.n, 0, 0, data, context);
	}
	if (count > 0)
		copy_groups(data, (size_t)count, m);
	pcre2_match_context_free(context);
	pcre2_match_data_free(data);
	return count > 0 ? 1 : count == PCRE2_ERROR_NOMATCH ? 0 : -1;
}

static void pcre_free(void *pattern)
{
	pcre2_code_free(pattern);
}

static const struct pattern_engine pcre_engine = {
	.flags = pcre_flags,
	.default_flags = PCRE_I | PCRE_S,
	.obsolete = "X",
	.no_delimiter = "ignoring",
	.plain = pcre_plain,
	.compile = pcre_compile,
	.groups = pcre_groups,
	.match = pcre_match,
	.free = pcre_free,
};

static bool pcre_open(struct table *t, const char *name, struct err *err)
{
	return pattern_open(t, &pcre_engine, name, err);
}

const struct table_type table_type_pcre = {
	.name = "pcre", .pattern = true, .open = pcre_open, .close = pattern_close, .lookup = pattern_lookup};
