/* What a policy server answers, and how main.cf names it. */
#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_answer(struct str in)
{
	struct policy_answer a = {.action = BUF(POLICY_LINE_MAX)};
	enum policy_step step = POLICY_MORE;
	struct err err;
	ptrdiff_t n;

	while (step == POLICY_MORE && (n = str_find(in, '\n')) >= 0) {
		step = policy_answer_line(&a, str_first(in, (size_t)n), &err);
		in = str_from(in, (size_t)n + 1);
	}
	if ((step == POLICY_DONE && !a.has_action) || a.lines > POLICY_ANSWER_LINES + 1 ||
		str_has_nul(buf_slice(&a.action)) || str_find(buf_slice(&a.action), '\n') >= 0)
		__builtin_trap();
	buf_free(&a.action);
}

static void fuzz_options(struct str in)
{
	const struct policy_options defaults = {
		.default_action = "", .context = "", .timeout = 1, .try_limit = 1};
	struct pool *pool = pool_new(256);
	struct policy_options o;
	struct err err;

	if (policy_options_parse(in, &defaults, pool, &o, &err) &&
		(!o.endpoint || !o.default_action || !o.context || o.timeout < 1 || o.try_limit < 1 ||
			o.max_idle < 0 || o.max_ttl < 0 || o.retry_delay < 0 || o.request_limit < 0))
		__builtin_trap();
	pool_free(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = {(const char *)data, size};

	fuzz_answer(in);
	if (!str_has_nul(in))
		fuzz_options(in);
	return 0;
}
