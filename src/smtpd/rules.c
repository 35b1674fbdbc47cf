#include "smtpd/rules.h"

#include "config/endpoint_options.h"
#include "smtpd/access.h"
#include <errno.h>

#define LIST_SEPARATORS ", \t\r\n"

void rules_env_init(struct rules_env *env, const struct config *cfg, struct pool *pool)
{
	*env = (struct rules_env){.cfg = cfg, .pool = pool};
	env->tables = hash_new(NULL);
	env->policies = hash_new(NULL);
	env->classes = hash_new(NULL);
}

void rules_each_policy(
	const struct rules_env *env, void (*act)(struct policy_client *client, void *arg), void *arg)
{
	struct str key;
	size_t pos = 0;
	void *value;

	while (env->policies && hash_next(env->policies, &pos, &key, &value))
		act(value, arg);
}

static void free_policy(struct policy_client *client, void *arg)
{
	policy_client_free(&client);
}

void rules_env_free(struct rules_env *env)
{
	struct str key;
	size_t pos = 0;
	void *value;

	if (!env->tables)
		return;
	while (hash_next(env->tables, &pos, &key, &value)) {
		struct table *table = value;

		table_close(&table);
	}
	hash_free(&env->tables);
	rules_each_policy(env, free_policy, NULL);
	hash_free(&env->policies);
	hash_free(&env->classes);
}

static struct table *rules_table(
	struct rules_env *env, struct pool *pool, const char *spec, const char **error)
{
	struct table *table = hash_get(env->tables, str_c(spec));

	if (table)
		return table;
	if (env->sealed) {
		*error = pool_printf(pool, "table %s is not named in any restriction list of main.cf", spec);
		return NULL;
	}
	table = table_open_or_wait(spec, TABLE_FOLD);
	hash_put(env->tables, str_c(spec), table);
	return table;
}

static bool is_table_name(struct str word)
{
	return str_find(word, ':') > 0 && word.p[0] != '{';
}

static void rule_set_table(struct rules_env *env, struct pool *pool, struct rule *rule, struct str spec)
{
	rule->argument = pool_strndup(pool, spec.p, spec.n);
	if (!is_table_name(spec)) {
		rule->error = pool_printf(pool, "restriction %s: bad argument \"%s\": need maptype:mapname",
			rule->name, rule->argument);
		return;
	}
	rule->table = rules_table(env, pool, rule->argument, &rule->error);
}

static bool add_key(struct rule *rule, struct str word)
{
	enum certificate_key key = str_case_is(word, "cert_fingerprint")     ? CERTIFICATE_FINGERPRINT
				   : str_case_is(word, "pubkey_fingerprint") ? PUBLIC_KEY_FINGERPRINT
									     : CERTIFICATE_KEY_NONE;

	for (size_t i = 0; i < CERTIFICATE_KEYS && key != CERTIFICATE_KEY_NONE; i++) {
		if (rule->search[i] == CERTIFICATE_KEY_NONE)
			rule->search[i] = key;
		if (rule->search[i] == key)
			return true;
	}
	return false;
}

static bool take_search_order(void *arg, struct str name, struct str value, struct err *err)
{
	struct str word;

	if (!str_is(name, "search_order"))
		return err_set(err, "unknown option \"" STR_FMT "\"", STR_ARG(name));
	while (str_word(&value, LIST_SEPARATORS, &word)) {
		if (!add_key(arg, word))
			return err_set(err, "search_order: unknown key \"" STR_FMT "\"", STR_ARG(word));
	}
	return true;
}

static void rule_set_certificate_table(
	struct rules_env *env, struct pool *pool, struct rule *rule, struct str text)
{
	struct str spec;
	struct err err = {0};

	if (!item_options_parse(text, rule->name, &spec, take_search_order, rule, &err)) {
		rule->error = pool_printf(pool, "restriction %s: %s", rule->name, err.text);
		return;
	}
	if (rule->search[0] == CERTIFICATE_KEY_NONE) {
		rule->search[0] = CERTIFICATE_FINGERPRINT;
		rule->search[1] = PUBLIC_KEY_FINGERPRINT;
	}
	rule_set_table(env, pool, rule, spec);
}

static void rule_set_seconds(struct pool *pool, struct rule *rule, struct str text)
{
	uint64_t seconds;

	rule->argument = pool_strndup(pool, text.p, text.n);
	if (str_to_u64(text, 3600, &seconds))
		rule->seconds = (int)seconds;
	else
		rule->error =
			pool_printf(pool, "restriction %s: bad number \"%s\"", rule->name, rule->argument);
}

static struct policy_options policy_defaults(const struct config *cfg)
{
	return (struct policy_options){.default_action = cfg->smtpd_policy_service_default_action,
		.context = cfg->smtpd_policy_service_policy_context,
		.timeout = cfg->smtpd_policy_service_timeout,
		.max_idle = cfg->smtpd_policy_service_max_idle,
		.max_ttl = cfg->smtpd_policy_service_max_ttl,
		.request_limit = cfg->smtpd_policy_service_request_limit,
		.try_limit = cfg->smtpd_policy_service_try_limit,
		.retry_delay = cfg->smtpd_policy_service_retry_delay};
}

static struct policy_client *rules_policy(
	struct rules_env *env, struct pool *pool, struct str spec, const char **error)
{
	struct policy_client *client = hash_get(env->policies, spec);
	struct policy_options defaults = policy_defaults(env->cfg), options;
	struct err err = {0};

	if (client)
		return client;
	if (env->sealed) {
		*error = pool_printf(pool,
			"policy service " STR_FMT " is not named in any restriction list of main.cf",
			STR_ARG(spec));
		return NULL;
	}
	if (!policy_options_parse(spec, &defaults, env->pool, &options, &err)) {
		*error = pool_printf(pool, "%s", err.text);
		return NULL;
	}
	client = policy_client_new(&options);
	hash_put(env->policies, spec, client);
	return client;
}

static void rule_set_policy(struct rules_env *env, struct pool *pool, struct rule *rule, struct str spec)
{
	rule->policy = rules_policy(env, pool, spec, &rule->error);
	rule->argument = rule->policy ? policy_client_options(rule->policy)->endpoint
				      : pool_strndup(pool, spec.p, spec.n);
}

/* Takes the argument that the row asks for off the list. */
static void rule_argument(struct rules_env *env, struct pool *pool, struct rule *rule, struct str *rest)
{
	struct str word = {"", 0};

	if (rule->row->argument == ARG_NONE)
		return;
	if (!str_group(rest, LIST_SEPARATORS, &word))
		rule->error = pool_printf(pool, "restriction %s: argument is missing", rule->name);
	else if (rule->row->argument == ARG_TABLE)
		rule_set_table(env, pool, rule, word);
	else if (rule->row->argument == ARG_CERTIFICATE_TABLE)
		rule_set_certificate_table(env, pool, rule, word);
	else if (rule->row->argument == ARG_POLICY)
		rule_set_policy(env, pool, rule, word);
	else if (rule->row->argument == ARG_WORD)
		rule->argument = pool_strndup(pool, word.p, word.n);
	else
		rule_set_seconds(pool, rule, word);
}

static struct rule_list *class_of_stage(const struct rules_env *env, struct str name, enum access_stage stage)
{
	struct rule_list *lists = hash_get(env->classes, name);

	return lists ? &lists[stage] : NULL;
}

static void rule_parse(struct rules_env *env, struct pool *pool, struct str word, struct str *rest,
	enum access_stage stage, struct rule *rule)
{
	rule->name = pool_strndup(pool, word.p, word.n);
	rule->row = access_find(word);
	if (rule->row) {
		rule_argument(env, pool, rule, rest);
		return;
	}
	rule->class_list = class_of_stage(env, word, stage);
	if (rule->class_list)
		return;
	if (is_table_name(word) && !access_table_check(stage)) {
		rule->error = pool_printf(pool,
			"specify one of (check_client_access, check_reverse_client_hostname_access, "
			"check_helo_access, check_sender_access, check_recipient_access, check_etrn_access) "
			"before %s restriction \"%s\"",
			access_stage_class(stage), rule->name);
		return;
	}
	if (is_table_name(word)) {
		rule->row = access_table_check(stage);
		rule->name = rule->row->name;
		rule_set_table(env, pool, rule, word);
		return;
	}
	rule->error = pool_printf(pool, "unknown smtpd restriction: \"%s\"", rule->name);
}

static size_t count_words(struct str text)
{
	struct str word;
	size_t n = 0;

	while (str_group(&text, LIST_SEPARATORS, &word))
		n++;
	return n;
}

void rules_parse(struct rules_env *env, struct pool *pool, const char *parameter, const char *text,
	enum access_stage stage, struct rule_list *out)
{
	struct str rest = str_c(text), word;
	size_t words = count_words(rest);

	*out = (struct rule_list){.parameter = parameter};
	if (words == 0)
		return;
	out->rules = pool_alloc(pool, words * sizeof(*out->rules));
	while (str_group(&rest, LIST_SEPARATORS, &word))
		rule_parse(env, pool, word, &rest, stage, &out->rules[out->count++]);
}

void rules_parse_classes(struct rules_env *env)
{
	struct str rest = str_c(env->cfg->smtpd_restriction_classes), word;

	/* Names first: a class may name another one that is declared after it. */
	while (str_word(&rest, LIST_SEPARATORS, &word))
		if (!hash_get(env->classes, word))
			hash_put(env->classes, word,
				pool_alloc(env->pool, STAGE_COUNT * sizeof(struct rule_list)));
	rest = str_c(env->cfg->smtpd_restriction_classes);
	while (str_word(&rest, LIST_SEPARATORS, &word)) {
		char *name = pool_strndup(env->pool, word.p, word.n);

		for (int stage = 0; stage < STAGE_COUNT; stage++)
			rules_parse(env, env->pool, name, config_text(env->cfg, name), stage,
				class_of_stage(env, word, stage));
	}
}

static bool refuses_relaying(const struct rule_list *list, int depth)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct rule *rule = &list->rules[i];
		bool warned = i > 0 && list->rules[i - 1].row &&
			      strcmp(list->rules[i - 1].name, "warn_if_reject") == 0;

		if (rule->row && !rule->error && rule->row->final_no && !warned)
			return true;
		if (rule->class_list && depth > 0 && refuses_relaying(rule->class_list, depth - 1))
			return true;
	}
	return false;
}

bool rules_refuse_relaying(const struct rule_list *list)
{
	return refuses_relaying(list, 10);
}
