#include "base/log.h"
#include "virtual/virtual.h"

#define ID_MAX (UINT32_MAX - 1) /* all ones means "no change" to the system calls */

static const struct dsn *misconfigured(struct pool *pool)
{
	return dsn_make(pool, DSN_DELAYED, "4.3.5", "mail system configuration error");
}

static enum table_status find(const struct virtual_env *env, struct maps *maps, const char *parameter,
	const char *recipient, struct buf *value)
{
	struct str extension;
	struct err err = {""};
	enum table_status status = maps_lookup_address(
		maps, str_c(recipient), env->cfg->recipient_delimiter, false, value, &extension, &err);

	if (status != TABLE_FOUND && status != TABLE_NOT_FOUND)
		log_warning("%s: lookup of %s: %s", parameter, recipient, err.text);
	return status;
}

/* A whole number that is an id, and not below the least. */
static bool find_id(const struct virtual_env *env, struct maps *maps, const char *parameter, const char *what,
	uint64_t least, const char *recipient, uint32_t *id)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	enum table_status status = find(env, maps, parameter, recipient, &value);
	uint64_t number = 0;
	bool ok = status == TABLE_FOUND && str_to_u64(buf_slice(&value), ID_MAX, &number) && number >= least;

	if (status == TABLE_NOT_FOUND)
		log_warning("recipient %s: not found in %s", recipient, parameter);
	else if (status == TABLE_FOUND && !ok)
		log_warning("recipient %s: bad %s %s in %s", recipient, what, buf_cstr(&value), parameter);
	*id = (uint32_t)number;
	buf_free(&value);
	return ok;
}

/* A table must not lead out of virtual_mailbox_base. */
static bool leads_out(const char *path)
{
	struct str rest = str_c(path), word;

	while (str_word(&rest, "/", &word)) {
		if (str_is(word, ".."))
			return true;
	}
	return false;
}

static const struct dsn *find_path(
	const struct virtual_env *env, struct pool *pool, const char *recipient, struct virtual_mailbox *out)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	enum table_status status = find(env, env->mailboxes, "virtual_mailbox_maps", recipient, &value);
	const char *path = pool_strdup(pool, buf_cstr(&value));

	buf_free(&value);
	if (status == TABLE_NOT_FOUND)
		return dsn_make(pool, DSN_FAILED, "5.1.1", "unknown user: \"%s\"", recipient);
	if (status != TABLE_FOUND)
		return dsn_make(pool, DSN_DELAYED, "4.3.5", "mailbox lookup failure");
	if (!path[0] || leads_out(path)) {
		log_warning("recipient %s: bad path \"%s\" in virtual_mailbox_maps", recipient, path);
		return misconfigured(pool);
	}
	out->path = pool_printf(pool, "%s/%s", env->cfg->virtual_mailbox_base, path);
	return NULL;
}

const struct dsn *virtual_lookup(
	const struct virtual_env *env, struct pool *pool, const char *recipient, struct virtual_mailbox *out)
{
	const struct dsn *dsn = find_path(env, pool, recipient, out);
	const uint64_t least =
		env->cfg->virtual_minimum_uid > 0 ? (uint64_t)env->cfg->virtual_minimum_uid : 1;
	uint32_t uid, gid;

	if (dsn)
		return dsn;
	if (!find_id(env, env->uids, "virtual_uid_maps", "uid", least, recipient, &uid) ||
		!find_id(env, env->gids, "virtual_gid_maps", "gid", 1, recipient, &gid))
		return misconfigured(pool);
	out->user = (struct deliver_user){.name = recipient, .home = "", .shell = "", .uid = uid, .gid = gid};
	return NULL;
}
