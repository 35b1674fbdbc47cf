#include "virtual/virtual.h"
#include "base/log.h"

static bool open_one(struct maps **maps, const char *parameter, const char *list, int flags, struct err *err)
{
	*maps = maps_open(parameter, list, flags, err);
	if (*maps)
		maps_warnings(*maps, log_warn, NULL);
	return *maps != NULL;
}

struct virtual_env *virtual_env_new(const struct config *cfg, struct err *err)
{
	const int flags = TABLE_FOLD | TABLE_NO_SUBST | TABLE_NO_UNAUTH;
	struct virtual_env *env = x_alloc(sizeof(*env));

	env->cfg = cfg;
	if (!deliver_settings_make(&env->deliver, cfg, "virtual_mailbox_lock", cfg->virtual_mailbox_lock,
		    cfg->virtual_mailbox_limit, err) ||
		!open_one(&env->mailboxes, "virtual_mailbox_maps", cfg->virtual_mailbox_maps, flags, err) ||
		!open_one(&env->uids, "virtual_uid_maps", cfg->virtual_uid_maps, flags, err) ||
		!open_one(&env->gids, "virtual_gid_maps", cfg->virtual_gid_maps, flags, err) ||
		!open_one(&env->filter, "virtual_delivery_status_filter", cfg->virtual_delivery_status_filter,
			0, err))
		virtual_env_free(&env);
	else
		env->deliver.hosted = true;
	return env;
}

static void close_one(struct maps **maps)
{
	if (*maps)
		maps_close(maps);
}

void virtual_env_free(struct virtual_env **pe)
{
	struct virtual_env *env = *pe;

	if (!env)
		return;
	close_one(&env->mailboxes);
	close_one(&env->uids);
	close_one(&env->gids);
	close_one(&env->filter);
	x_free(pe);
}

const struct dsn *virtual_deliver(
	const struct virtual_env *env, struct deliver_job *job, const char *recipient)
{
	struct virtual_mailbox box;
	const struct dsn *dsn = virtual_lookup(env, job->pool, recipient, &box);

	if (!dsn) {
		job->user = &box.user;
		dsn = deliver_to_path(job, box.path, DELIVER_HOME);
	}
	return deliver_filter_status(env->filter, "virtual_delivery_status_filter", job->pool, dsn);
}
