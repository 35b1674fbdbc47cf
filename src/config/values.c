#include "config/values.h"

#include <limits.h>

static int unit_seconds(char unit)
{
	switch (unit) {
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	case 'd':
		return 24 * 3600;
	case 'w':
		return 7 * 24 * 3600;
	default:
		return 0;
	}
}

bool config_parse_time(struct str text, char default_unit, int *seconds)
{
	char unit = default_unit;
	int64_t number;

	if (text.n && (text.p[text.n - 1] < '0' || text.p[text.n - 1] > '9')) {
		unit = text.p[text.n - 1];
		text.n--;
	}
	if (unit >= 'A' && unit <= 'Z')
		unit = (char)(unit + ('a' - 'A'));
	if (!unit_seconds(unit) || !str_to_i64(text, INT_MIN, INT_MAX / unit_seconds(unit), &number))
		return false;
	*seconds = (int)(number * unit_seconds(unit));
	return true;
}

static bool within(const struct row *row, const char *name, long long value, struct err *err)
{
	if (value < row->min)
		return err_set(err, "invalid %s parameter value %lld < %lld", name, value, row->min);
	if (value > row->max)
		return err_set(err, "invalid %s parameter value %lld > %lld", name, value, row->max);
	return true;
}

static bool store_number(
	void *field, const struct row *row, const char *name, const char *text, struct err *err)
{
	int64_t value;

	if (!str_to_i64(str_c(text), INT64_MIN, INT64_MAX, &value))
		return err_set(err, "bad numerical configuration: %s = %s", name, text);
	if (!within(row, name, value, err))
		return false;
	if (row->type == ROW_SIZE)
		*(long long *)field = value;
	else
		*(int *)field = (int)value;
	return true;
}

static bool store_time(int *field, const struct row *row, const char *name, const char *text, struct err *err)
{
	int value;

	if (!config_parse_time(str_c(text), row->unit, &value))
		return err_set(err, "parameter %s: bad time value or unit: %s", name, text);
	if (!within(row, name, value, err))
		return false;
	*field = value;
	return true;
}

static bool store_bool(bool *field, const char *name, const char *text, struct err *err)
{
	bool yes = ascii_casecmp(text, "yes") == 0;

	if (!yes && ascii_casecmp(text, "no") != 0)
		return err_set(err, "bad boolean configuration: %s = %s", name, text);
	*field = yes;
	return true;
}

static bool is_word(const char *words, struct str text)
{
	for (;;) {
		size_t n = strcspn(words, "|");

		if (str_eq((struct str){words, n}, text))
			return true;
		if (words[n] == '\0')
			return false;
		words += n + 1;
	}
}

static bool check_words(const struct row *row, const char *name, const char *text, struct err *err)
{
	struct str rest = str_c(text), word;

	while (str_word(&rest, ", \t\r\n", &word)) {
		if (!is_word(row->words, word))
			return err_set(err, "parameter %s: unknown word \"" STR_FMT "\" (use any of: %s)",
				name, STR_ARG(word), row->words);
	}
	return true;
}

static bool store_text(
	const char **field, const struct row *row, const char *name, const char *text, struct err *err)
{
	if (row->mark == ROW_NEEDED && !*text)
		return err_set(err, "bad string length 0 < 1: %s =", name);
	if (row->type == ROW_ENUM && !is_word(row->words, str_c(text)))
		return err_set(
			err, "parameter %s: unknown value \"%s\" (use one of: %s)", name, text, row->words);
	if (row->type == ROW_WORDS && !check_words(row, name, text, err))
		return false;
	*field = text;
	return true;
}

bool value_store(
	struct config *cfg, const struct row *row, const char *name, const char *text, struct err *err)
{
	void *field = (char *)cfg + row->offset;

	switch (row->type) {
	case ROW_BOOL:
		return store_bool(field, name, text, err);
	case ROW_INT:
	case ROW_SIZE:
		return store_number(field, row, name, text, err);
	case ROW_TIME:
		return store_time(field, row, name, text, err);
	case ROW_TEXT:
	case ROW_RAW:
	case ROW_TABLES:
	case ROW_ENUM:
	case ROW_WORDS:
		return store_text(field, row, name, text, err);
	}
	return false;
}
