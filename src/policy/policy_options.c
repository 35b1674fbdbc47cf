#include "config/config.h"
#include "policy/policy.h"

#include <limits.h>

#define SEPARATORS ", \t\r\n"

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

static bool in_braces(struct str text)
{
	return text.n >= 2 && text.p[0] == '{' && text.p[text.n - 1] == '}';
}

static struct str without_braces(struct str text)
{
	return str_trim(str_first(str_from(text, 1), text.n - 2));
}

static bool take_word(struct policy_options *o, struct pool *pool, struct str word, struct err *err)
{
	struct str setting = in_braces(word) ? without_braces(word) : word;
	ptrdiff_t equals = str_find(setting, '=');

	if (equals <= 0)
		return err_set(
			err, "policy service option \"" STR_FMT "\": name=value is wanted", STR_ARG(word));
	return take_setting(o, pool, str_trim(str_first(setting, (size_t)equals)),
		str_trim(str_from(setting, (size_t)equals + 1)), err);
}

/* "local:" is another word for "unix:". */
static bool take_endpoint(struct policy_options *o, struct pool *pool, struct str text, struct err *err)
{
	struct str inet = STR("inet:"), path = STR("unix:"), local = STR("local:");

	if (str_starts(text, local) && text.n > local.n)
		o->endpoint = pool_printf(pool, "unix:" STR_FMT, STR_ARG(str_from(text, local.n)));
	else if ((str_starts(text, inet) && text.n > inet.n) || (str_starts(text, path) && text.n > path.n))
		o->endpoint = pool_strndup(pool, text.p, text.n);
	else
		return err_set(err, "policy service \"" STR_FMT "\": inet:host:port or unix:path is wanted",
			STR_ARG(text));
	return true;
}

bool policy_options_parse(struct str text, const struct policy_options *defaults, struct pool *pool,
	struct policy_options *out, struct err *err)
{
	struct str rest = in_braces(text) ? without_braces(text) : text, word;

	*out = *defaults;
	if (!in_braces(text))
		return take_endpoint(out, pool, text, err);
	if (!str_group(&rest, SEPARATORS, &word))
		return err_set(err, "policy service \"" STR_FMT "\": no server in the list", STR_ARG(text));
	if (!take_endpoint(out, pool, word, err))
		return false;
	while (str_group(&rest, SEPARATORS, &word))
		if (!take_word(out, pool, word, err))
			return false;
	return true;
}
