#include "base/log.h"
#include "base/sys.h"
#include "local/local.h"
#include <unistd.h>

struct word_bit {
	const char *word;
	int bit;
};

static const struct word_bit origins[] = {
	{"alias", ORIGIN_ALIAS}, {"forward", ORIGIN_FORWARD}, {"include", ORIGIN_INCLUDE}, {NULL, 0}};
static const struct word_bit contexts[] = {
	{"command", CONTEXT_COMMAND}, {"file", CONTEXT_FILE}, {"forward", CONTEXT_FORWARD}, {NULL, 0}};

static int bits_of(const char *list, const struct word_bit *rows)
{
	int bits = 0;

	for (; rows->word; rows++)
		bits |= str_lists(list, rows->word) ? rows->bit : 0;
	return bits;
}

/* Without root everything is done as the user that the mail system runs as. */
static bool find_default_rights(struct local_env *env, struct err *err)
{
	const char *name = env->cfg->default_privs;
	uid_t owner = 0;

	if (geteuid() != 0) {
		env->default_rights = (struct deliver_user){
			.name = "", .home = "", .shell = "", .uid = geteuid(), .gid = getegid()};
		return true;
	}
	if (deliver_user_find(env->pool, name, &env->default_rights, err) != DELIVER_USER_FOUND)
		return err_set(err, "parameter default_privs: unknown user \"%s\"", name);
	if (!sys_user(env->cfg->mail_owner, &owner, NULL, err))
		return false;
	if (env->default_rights.uid == 0 || env->default_rights.uid == owner)
		return err_set(err,
			"parameter default_privs: \"%s\" must not be root or the owner of the mail system",
			name);
	return true;
}

static bool open_one(struct maps **maps, const char *parameter, const char *list, int flags, struct err *err)
{
	*maps = maps_open(parameter, list, flags, err);
	if (*maps)
		maps_warnings(*maps, log_warn, NULL);
	return *maps != NULL;
}

static bool open_tables(struct local_env *env, struct err *err)
{
	const struct config *cfg = env->cfg;

	env->aliases = local_aliases_open(cfg->alias_maps, err);
	return env->aliases &&
	       open_one(&env->command_maps, "mailbox_command_maps", cfg->mailbox_command_maps,
		       TABLE_FOLD | TABLE_NO_UNAUTH, err) &&
	       open_one(&env->transport_maps, "mailbox_transport_maps", cfg->mailbox_transport_maps,
		       TABLE_FOLD | TABLE_NO_SUBST, err) &&
	       open_one(&env->fallback_maps, "fallback_transport_maps", cfg->fallback_transport_maps,
		       TABLE_FOLD | TABLE_NO_SUBST, err) &&
	       open_one(&env->filter, "local_delivery_status_filter", cfg->local_delivery_status_filter, 0,
		       err);
}

/* New mail and reports go into the queue from here. */
static bool open_queue(struct local_env *env, struct err *err)
{
	env->resolver = resolver_new(env->cfg, err);
	if (!env->resolver)
		return false;
	env->notifier = queue_notifier_new(env->cfg->queue_service_name);
	env->reports = bounce_services_new(env->cfg, log_warn, NULL, err);
	if (!env->reports)
		return false;
	env->cleanup = cleanup_env_new(env->cfg, env->spool, env->resolver, env->notifier, err);
	env->bounce = (struct bounce_env){env->cfg, env->cleanup, env->spool, NULL, env->reports};
	return env->cleanup != NULL;
}

struct local_env *local_env_new(const struct config *cfg, struct spool *spool, struct err *err)
{
	struct local_env *env = x_alloc(sizeof(*env));

	env->cfg = cfg;
	env->spool = spool;
	env->pool = pool_new(1024);
	env->command_origins = bits_of(cfg->allow_mail_to_commands, origins);
	env->file_origins = bits_of(cfg->allow_mail_to_files, origins);
	env->propagate = bits_of(cfg->propagate_unmatched_extensions, origins);
	env->delivered_contexts = bits_of(cfg->prepend_delivered_header, contexts);
	if (!deliver_settings_make(&env->deliver, cfg, "mailbox_delivery_lock",
		    cfg->sun_mailtool_compatibility ? "dotlock" : cfg->mailbox_delivery_lock,
		    cfg->mailbox_size_limit, err) ||
		!find_default_rights(env, err) || !open_tables(env, err) || !open_queue(env, err))
		local_env_free(&env);
	return env;
}

static void close_one(struct maps **maps)
{
	if (*maps)
		maps_close(maps);
}

void local_env_free(struct local_env **pe)
{
	struct local_env *env = *pe;

	if (!env)
		return;
	if (env->cleanup)
		cleanup_env_free(&env->cleanup);
	if (env->notifier)
		queue_notifier_free(&env->notifier);
	bounce_services_free(&env->reports);
	if (env->resolver)
		resolver_free(&env->resolver);
	close_one(&env->filter);
	close_one(&env->fallback_maps);
	close_one(&env->transport_maps);
	close_one(&env->command_maps);
	local_aliases_close(&env->aliases);
	pool_free(&env->pool);
	x_free(pe);
}
