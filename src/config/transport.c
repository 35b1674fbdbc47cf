/* Settings that every transport of master.cf has. */
#include "base/mem.h"
#include "config/config.h"
#include "config/rows.h"
#include <limits.h>

static const char *fallback_of(const char *suffix)
{
	for (const struct suffix *s = transport_suffixes; s->suffix; s++) {
		if (strcmp(s->suffix, suffix) == 0)
			return s->fallback;
	}
	return NULL;
}

static const char *own_text(const struct config *cfg, const char *transport, const char *suffix)
{
	char *name = x_asprintf("%s%s", transport, suffix);
	const char *text = config_text(cfg, name);

	x_free(&name);
	return text;
}

static const char *fallback_text(const struct config *cfg, const char *suffix)
{
	const char *fallback = fallback_of(suffix), *text = fallback ? config_text(cfg, fallback) : NULL;

	return text ? text : "";
}

static bool parse_int(const char *text, int *value)
{
	int64_t wide;

	if (!str_to_i64(str_c(text), INT_MIN, INT_MAX, &wide))
		return false;
	*value = (int)wide;
	return true;
}

int config_transport_int(const struct config *cfg, const char *transport, const char *suffix)
{
	const char *own = own_text(cfg, transport, suffix);
	int value = 0;

	if (!own || !parse_int(own, &value))
		parse_int(fallback_text(cfg, suffix), &value);
	return value;
}

int config_transport_time(const struct config *cfg, const char *transport, const char *suffix)
{
	const char *own = own_text(cfg, transport, suffix), *fallback = fallback_of(suffix);
	const struct row *row = fallback ? row_find(fallback) : NULL;
	char unit = row && row->unit ? row->unit : 's';
	int value = 0;

	if (!own || !config_parse_time(str_c(own), unit, &value))
		config_parse_time(str_c(fallback_text(cfg, suffix)), unit, &value);
	return value;
}
