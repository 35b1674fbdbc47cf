#include "config/endpoint_options.h"

#define SEPARATORS ", \t\r\n"

static bool in_braces(struct str text)
{
	return text.n >= 2 && text.p[0] == '{' && text.p[text.n - 1] == '}';
}

static struct str without_braces(struct str text)
{
	return str_trim(str_first(str_from(text, 1), text.n - 2));
}

static bool take_setting(
	struct str word, const char *what, endpoint_setting_fn *set, void *arg, struct err *err)
{
	struct str setting = in_braces(word) ? without_braces(word) : word;
	ptrdiff_t equals = str_find(setting, '=');

	if (equals <= 0)
		return err_set(err, "%s option \"" STR_FMT "\": name=value is wanted", what, STR_ARG(word));
	return set(arg, str_trim(str_first(setting, (size_t)equals)),
		str_trim(str_from(setting, (size_t)equals + 1)), err);
}

static bool take_endpoint(
	struct str text, const char *what, struct pool *pool, const char **endpoint, struct err *err)
{
	struct str inet = STR("inet:"), path = STR("unix:"), local = STR("local:");

	if (str_starts(text, local) && text.n > local.n)
		*endpoint = pool_printf(pool, "unix:" STR_FMT, STR_ARG(str_from(text, local.n)));
	else if ((str_starts(text, inet) && text.n > inet.n) || (str_starts(text, path) && text.n > path.n))
		*endpoint = pool_strndup(pool, text.p, text.n);
	else
		return err_set(err, "%s \"" STR_FMT "\": inet:host:port or unix:path is wanted", what,
			STR_ARG(text));
	return true;
}

bool item_options_parse(struct str text, const char *what, struct str *item, endpoint_setting_fn *set,
	void *arg, struct err *err)
{
	struct str rest = in_braces(text) ? without_braces(text) : text, word;

	*item = text;
	if (!in_braces(text))
		return true;
	if (!str_group(&rest, SEPARATORS, item))
		return err_set(err, "%s \"" STR_FMT "\": the list is empty", what, STR_ARG(text));
	while (str_group(&rest, SEPARATORS, &word))
		if (!take_setting(word, what, set, arg, err))
			return false;
	return true;
}

bool endpoint_options_parse(struct str text, const char *what, struct pool *pool, const char **endpoint,
	endpoint_setting_fn *set, void *arg, struct err *err)
{
	struct str item;

	return item_options_parse(text, what, &item, set, arg, err) &&
	       take_endpoint(item, what, pool, endpoint, err);
}
