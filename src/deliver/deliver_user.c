#include "deliver/deliver.h"
#include <errno.h>
#include <pwd.h>

#define ROW_MAX (1u << 20)

/* What could leave a directory is no user, whatever the user database says. */
static bool is_file_name(const char *name)
{
	return name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static void keep(struct pool *pool, const struct passwd *pw, struct deliver_user *out)
{
	*out = (struct deliver_user){
		.name = pool_strdup(pool, pw->pw_name),
		.home = pool_strdup(pool, pw->pw_dir),
		.shell = pool_strdup(pool, pw->pw_shell),
		.uid = pw->pw_uid,
		.gid = pw->pw_gid,
	};
}

/* Some C libraries report a missing user by an error (getpwnam(3)). */
static bool means_unknown(int error)
{
	return error == 0 || error == ENOENT || error == ESRCH;
}

/* By name, or by uid when name is NULL. */
static enum deliver_lookup find(
	struct pool *pool, const char *name, uid_t uid, struct deliver_user *out, struct err *err)
{
	struct passwd pw, *found = NULL;
	char *room = NULL;
	size_t size = 1024;
	int error;

	do {
		size *= 2;
		room = x_realloc(room, size);
		error = name ? getpwnam_r(name, &pw, room, size, &found)
			     : getpwuid_r(uid, &pw, room, size, &found);
	} while (error == ERANGE && size < ROW_MAX);
	if (found)
		keep(pool, &pw, out);
	x_free(&room);
	if (found)
		return is_file_name(out->name) ? DELIVER_USER_FOUND : DELIVER_USER_UNKNOWN;
	if (means_unknown(error))
		return DELIVER_USER_UNKNOWN;
	errno = error;
	if (name)
		err_errno(err, "user %s", name);
	else
		err_errno(err, "user id %u", uid);
	return DELIVER_USER_TROUBLE;
}

enum deliver_lookup deliver_user_find(
	struct pool *pool, const char *name, struct deliver_user *out, struct err *err)
{
	return is_file_name(name) ? find(pool, name, 0, out, err) : DELIVER_USER_UNKNOWN;
}

enum deliver_lookup deliver_user_of(struct pool *pool, uid_t uid, struct deliver_user *out, struct err *err)
{
	return find(pool, NULL, uid, out, err);
}
