#include "local/local.h"
#include <errno.h>
#include <pwd.h>

#define ROW_MAX (1u << 20)

/* What could leave a directory is no user, whatever the user database says. */
static bool is_file_name(const char *name)
{
	return name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static void keep(struct pool *pool, const struct passwd *pw, struct local_user *out)
{
	*out = (struct local_user){
		.name = pool_strdup(pool, pw->pw_name),
		.home = pool_strdup(pool, pw->pw_dir),
		.uid = pw->pw_uid,
		.gid = pw->pw_gid,
	};
}

/* Some C libraries report a missing user by an error (getpwnam(3)). */
static bool means_unknown(int error)
{
	return error == 0 || error == ENOENT || error == ESRCH;
}

enum local_lookup local_user_find(
	struct pool *pool, const char *name, struct local_user *out, struct err *err)
{
	struct passwd pw, *found = NULL;
	char *room = NULL;
	size_t size = 1024;
	int error;

	if (!is_file_name(name))
		return LOCAL_USER_UNKNOWN;
	do {
		size *= 2;
		room = x_realloc(room, size);
		error = getpwnam_r(name, &pw, room, size, &found);
	} while (error == ERANGE && size < ROW_MAX);
	if (found && is_file_name(pw.pw_name))
		keep(pool, &pw, out);
	x_free(&room);
	if (found)
		return is_file_name(out->name ? out->name : "") ? LOCAL_USER_FOUND : LOCAL_USER_UNKNOWN;
	if (means_unknown(error))
		return LOCAL_USER_UNKNOWN;
	errno = error;
	err_errno(err, "user %s", name);
	return LOCAL_USER_TROUBLE;
}
