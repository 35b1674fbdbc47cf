#include "config/endpoint_options.h"
#include "milter/milter_private.h"

#include <limits.h>

#define SEPARATORS ", \t\r\n"

static bool parse_action(struct str value, enum default_action *out)
{
	static const struct {
		const char *name;
		enum default_action action;
	} known[] = {
		{"tempfail", DEFAULT_TEMPFAIL},
		{"accept", DEFAULT_ACCEPT},
		{"reject", DEFAULT_REJECT},
		{"quarantine", DEFAULT_QUARANTINE},
		{"shutdown", DEFAULT_SHUTDOWN},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (str_case_is(value, known[i].name)) {
			*out = known[i].action;
			return true;
		}
	}
	return false;
}

/* "6", or "6 no_header_reply": the words after the version are of interest to filters of old times, which had
 * no negotiation; those of today say themselves what they do not answer. */
static bool parse_protocol(struct str value, struct milter_spec *spec)
{
	static const struct {
		const char *name;
		int version;
		uint32_t bits;
	} known[] = {
		{"2", 2, NO_END_OF_HEADER * 2 - 1},
		{"3", 3, (NO_END_OF_HEADER * 2 - 1) | NO_UNKNOWN},
		{"4", 4, (NO_END_OF_HEADER * 2 - 1) | NO_UNKNOWN | NO_DATA},
		{"6", 6, WANTS_LEADING_BLANK * 2 - 1},
	};
	struct str word = {"", 0};
	bool found = false;

	str_word(&value, SEPARATORS, &word);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && !found; i++) {
		found = str_is(word, known[i].name);
		if (found) {
			spec->version = known[i].version;
			spec->protocol = known[i].bits;
		}
	}
	while (found && str_word(&value, SEPARATORS, &word))
		found = str_case_is(word, "no_header_reply");
	return found;
}

static bool parse_seconds(struct str value, int *out)
{
	int seconds;

	if (!config_parse_time(value, 's', &seconds) || seconds < 1)
		return false;
	*out = seconds;
	return true;
}

static bool take_setting(void *arg, struct str name, struct str value, struct err *err)
{
	struct milter_spec *spec = arg;
	bool good;

	if (str_is(name, "default_action"))
		good = parse_action(value, &spec->otherwise);
	else if (str_is(name, "protocol"))
		good = parse_protocol(value, spec);
	else if (str_is(name, "connect_timeout"))
		good = parse_seconds(value, &spec->connect_timeout);
	else if (str_is(name, "command_timeout"))
		good = parse_seconds(value, &spec->command_timeout);
	else if (str_is(name, "content_timeout"))
		good = parse_seconds(value, &spec->content_timeout);
	else
		return err_set(err, "unknown milter option \"" STR_FMT "\"", STR_ARG(name));
	return good || err_set(err, "bad value of milter option \"" STR_FMT "\": \"" STR_FMT "\"",
			       STR_ARG(name), STR_ARG(value));
}

static bool take_defaults(const struct config *cfg, struct milter_spec *spec, struct err *err)
{
	spec->connect_timeout = cfg->milter_connect_timeout;
	spec->command_timeout = cfg->milter_command_timeout;
	spec->content_timeout = cfg->milter_content_timeout;
	if (!parse_action(str_trim(str_c(cfg->milter_default_action)), &spec->otherwise))
		return err_set(err, "bad milter_default_action: \"%s\"", cfg->milter_default_action);
	if (!parse_protocol(str_c(cfg->milter_protocol), spec))
		return err_set(err, "bad milter_protocol: \"%s\"", cfg->milter_protocol);
	return true;
}

static void add_spec(struct milter_set *set, struct str item)
{
	struct milter_spec *spec = &set->specs[set->count++];
	struct err err = {""};

	if (take_defaults(set->cfg, spec, &err) &&
		endpoint_options_parse(item, "milter", set->pool, &spec->endpoint, take_setting, spec, &err))
		return;
	spec->endpoint = NULL;
	if (!set->problem)
		set->problem = pool_strdup(set->pool, err.text);
}

static size_t count_items(struct str list)
{
	struct str item;
	size_t n = 0;

	while (str_group(&list, SEPARATORS, &item))
		n++;
	return n;
}

static void add_default(struct milter_set *set, struct str word)
{
	bool braces = word.n > 2 && word.p[0] == '{' && word.p[word.n - 1] == '}';
	struct str setting = braces ? str_trim(str_first(str_from(word, 1), word.n - 2)) : word;
	ptrdiff_t equals = str_find(setting, '=');
	struct macro_default *d = &set->defaults[set->default_count];

	if (equals <= 0) {
		set->problem = pool_printf(set->pool,
			"milter_macro_defaults: \"" STR_FMT "\": name=value is wanted", STR_ARG(word));
		return;
	}
	d->name = str_trim(str_first(setting, (size_t)equals));
	d->value = str_trim(str_from(setting, (size_t)equals + 1));
	set->default_count++;
}

static void set_defaults(struct milter_set *set)
{
	struct str rest = str_c(set->cfg->milter_macro_defaults), word;

	set->defaults = pool_alloc(set->pool, (count_items(rest) + 1) * sizeof(*set->defaults));
	while (str_group(&rest, SEPARATORS, &word))
		add_default(set, word);
}

static void set_macro_lists(struct milter_set *set)
{
	const struct config *cfg = set->cfg;

	set->macros[MACROS_CONNECT] = cfg->milter_connect_macros;
	set->macros[MACROS_HELO] = cfg->milter_helo_macros;
	set->macros[MACROS_MAIL] = cfg->milter_mail_macros;
	set->macros[MACROS_RCPT] = cfg->milter_rcpt_macros;
	set->macros[MACROS_DATA] = cfg->milter_data_macros;
	set->macros[MACROS_END_OF_BODY] = cfg->milter_end_of_data_macros;
	set->macros[MACROS_END_OF_HEADER] = cfg->milter_end_of_header_macros;
	set->macros[MACROS_UNKNOWN] = cfg->milter_unknown_command_macros;
}

struct milter_set *milter_set_new(const struct config *cfg, const char *list)
{
	struct pool *pool = pool_new(512);
	struct milter_set *set = pool_alloc(pool, sizeof(*set));
	struct str rest = str_c(list), item;

	set->pool = pool;
	set->cfg = cfg;
	set_macro_lists(set);
	set_defaults(set);
	set->specs = pool_alloc(pool, (count_items(rest) + 1) * sizeof(*set->specs));
	while (str_group(&rest, SEPARATORS, &item))
		add_spec(set, item);
	return set;
}

void milter_set_free(struct milter_set **set)
{
	struct pool *pool = *set ? (*set)->pool : NULL;

	*set = NULL;
	pool_free(&pool);
}

bool milter_set_empty(const struct milter_set *set)
{
	return set->count == 0;
}

size_t milter_set_count(const struct milter_set *set)
{
	return set->count;
}

const char *milter_set_problem(const struct milter_set *set)
{
	return set->problem;
}
