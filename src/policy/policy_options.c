#include "config/config.h"
#include "config/endpoint_options.h"
#include "policy/policy.h"

#include <limits.h>

static bool take_text(const char **field, struct pool *pool, struct str value)
{
	*field = pool_strndup(pool, value.p, value.n);
	return true;
}

static bool take_time(int *field, int min, struct str value)
{
	int seconds;

	if (!config_parse_time(value, 's', &seconds) || seconds < min)
		return false;
	*field = seconds;
	return true;
}

static bool take_number(int *field, uint64_t min, struct str value)
{
	uint64_t n;

	if (!str_to_u64(value, INT_MAX, &n) || n < min)
		return false;
	*field = (int)n;
	return true;
}

static bool take_setting(
	struct policy_options *o, struct pool *pool, struct str name, struct str value, struct err *err)
{
	bool good;

	if (str_is(name, "default_action"))
		good = take_text(&o->default_action, pool, value);
	else if (str_is(name, "policy_context"))
		good = take_text(&o->context, pool, value);
	else if (str_is(name, "timeout"))
		good = take_time(&o->timeout, 1, value);
	else if (str_is(name, "max_idle"))
		good = take_time(&o->max_idle, 0, value);
	else if (str_is(name, "max_ttl"))
		good = take_time(&o->max_ttl, 0, value);
	else if (str_is(name, "request_limit"))
		good = take_number(&o->request_limit, 0, value);
	else if (str_is(name, "try_limit"))
		good = take_number(&o->try_limit, 1, value);
	else if (str_is(name, "retry_delay"))
		good = take_time(&o->retry_delay, 0, value);
	else
		return err_set(err, "unknown policy service option \"" STR_FMT "\"", STR_ARG(name));
	return good || err_set(err, "bad value of policy service option \"" STR_FMT "\": \"" STR_FMT "\"",
			       STR_ARG(name), STR_ARG(value));
}

struct target {
	struct policy_options *options;
	struct pool *pool;
};

static bool take(void *arg, struct str name, struct str value, struct err *err)
{
	const struct target *t = arg;

	return take_setting(t->options, t->pool, name, value, err);
}

bool policy_options_parse(struct str text, const struct policy_options *defaults, struct pool *pool,
	struct policy_options *out, struct err *err)
{
	struct target target = {out, pool};

	*out = *defaults;
	return endpoint_options_parse(text, "policy service", pool, &out->endpoint, take, &target, err);
}
