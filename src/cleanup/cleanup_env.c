#include "base/mem.h"
#include "cleanup/cleanup_private.h"
#include "config/service_config.h"
#include "mail/encoded_word.h"

bool byte_set_parse(struct byte_set *set, const char *text, struct err *err)
{
	for (const char *p = text; *p;) {
		int c = (unsigned char)*p++;

		if (c == '\\')
			c = str_take_escape(&p);
		if (c < 0)
			return err_set(err, "unknown escape in \"%s\"", text);
		set->has[c] = set->any = true;
	}
	return true;
}

bool byte_set_hits(const struct byte_set *set, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (set->has[(unsigned char)s.p[i]])
			return true;
	}
	return false;
}

static struct hash *parse_names(const char *list)
{
	struct hash *names = hash_new(NULL);
	struct str rest = str_c(list), word;

	while (str_word(&rest, ", \t\r\n", &word)) {
		char *name = x_strndup(word.p, word.n);

		ascii_lower(name);
		hash_put(names, str_c(name), names);
		x_free(&name);
	}
	return names;
}

static bool open_bytes(struct cleanup_env *env, struct err *err)
{
	if (!byte_set_parse(&env->strip, env->cfg->message_strip_characters, err))
		return err_prefix(err, "message_strip_characters");
	if (!byte_set_parse(&env->reject, env->cfg->message_reject_characters, err))
		return err_prefix(err, "message_reject_characters");
	return true;
}

static void set_options(struct cleanup_env *env)
{
	const char *off = env->service_cfg->receive_override_options;

	env->drop_headers = parse_names(env->cfg->message_drop_headers);
	env->map_addresses = !str_case_lists(off, "no_address_mappings");
	env->check_content = !str_case_lists(off, "no_header_body_checks");
	env->use_milters = !str_case_lists(off, "no_milters");
}

/* Its -o options apply to the mail of every listener whose cleanup_service_name names the service. */
static bool take_service(struct cleanup_env *env, struct err *err)
{
	const struct config *cfg = env->service_cfg;

	if (!service_config_load(cfg, cfg->cleanup_service_name, "cleanup", false, &env->own_cfg, err))
		return false;
	if (!env->own_cfg)
		return true;
	env->cfg = env->own_cfg;
	env->resolver = env->own_resolver = resolver_new(env->own_cfg, err);
	return env->resolver != NULL;
}

struct cleanup_env *cleanup_env_new(const struct config *cfg, struct spool *spool, struct resolver *resolver,
	struct queue_notifier *notifier, struct err *err)
{
	struct cleanup_env *env = x_alloc(sizeof(*env));

	env->service_cfg = env->cfg = cfg;
	env->spool = spool;
	env->resolver = resolver;
	env->notifier = notifier;
	if (!take_service(env, err)) {
		cleanup_env_free(&env);
		return NULL;
	}
	set_options(env);
	env->milters = milter_set_new(env->cfg, env->use_milters ? env->cfg->non_smtpd_milters : "");
	if (!open_bytes(env, err) || !(env->mapping = mapping_new(env->cfg, env->resolver, err)) ||
		!cleanup_open_checks(env, err))
		cleanup_env_free(&env);
	return env;
}

void cleanup_env_free(struct cleanup_env **envp)
{
	struct cleanup_env *env = *envp;

	if (!env)
		return;
	hash_free(&env->drop_headers);
	mapping_free(&env->mapping);
	cleanup_close_checks(env);
	milter_set_free(&env->milters);
	resolver_free(&env->own_resolver);
	if (env->own_cfg)
		config_free(&env->own_cfg);
	x_free(envp);
}

void cleanup_env_warnings(const struct cleanup_env *env, table_warn_fn warn, void *arg)
{
	if (!encoded_word_charset(str_c(env->cfg->full_name_encoding_charset)))
		warn(arg, "full_name_encoding_charset is not the name of a character set: From headers are "
			  "made without full names "
			  "that need it");
	if (env->own_resolver)
		resolver_warnings(env->own_resolver, warn, arg);
	mapping_warnings(env->mapping, warn, arg);
	cleanup_check_warnings(env, warn, arg);
}
