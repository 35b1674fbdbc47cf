/* Users and giving up privileges. */
#include "base/mem.h"
#include "base/sys.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#define DATABASE_ROW_MAX (1u << 20)

static bool decimal_id(const char *name, uint32_t *id)
{
	uint64_t v;

	if (!str_to_u64(str_c(name), UINT32_MAX - 1, &v))
		return false;
	*id = (uint32_t)v;
	return true;
}

/* One row of passwd; the strings of pw are not kept. 0: found or not (found says), else errno. */
static int find_user(const char *name, const uid_t *id, struct passwd *pw, bool *found)
{
	size_t size = 1024;
	char *room = NULL;
	struct passwd *result = NULL;
	int error;

	do {
		size *= 2;
		room = x_realloc(room, size);
		error = id ? getpwuid_r(*id, pw, room, size, &result)
			   : getpwnam_r(name, pw, room, size, &result);
	} while (error == ERANGE && size < DATABASE_ROW_MAX);
	*found = result != NULL;
	x_free(&room);
	return error;
}

bool sys_user(const char *name, uid_t *uid, gid_t *gid, struct err *err)
{
	struct passwd pw;
	uint32_t id;
	bool numeric = decimal_id(name, &id), found;
	uid_t wanted = numeric ? id : 0;
	int error = find_user(name, numeric ? &wanted : NULL, &pw, &found);

	if (!found && numeric && !gid) {
		*uid = wanted;
		return true;
	}
	if (!found) {
		errno = error;
		return error ? err_errno(err, "user %s", name) : err_set(err, "unknown user: %s", name);
	}
	*uid = pw.pw_uid;
	if (gid)
		*gid = pw.pw_gid;
	return true;
}

bool sys_group(const char *name, gid_t *gid, struct err *err)
{
	size_t size = 1024;
	char *room = NULL;
	struct group gr, *result = NULL;
	uint32_t id;
	int error;

	if (decimal_id(name, &id)) {
		*gid = id;
		return true;
	}
	do {
		size *= 2;
		room = x_realloc(room, size);
		error = getgrnam_r(name, &gr, room, size, &result);
	} while (error == ERANGE && size < DATABASE_ROW_MAX);
	x_free(&room);
	errno = error;
	if (!result)
		return error ? err_errno(err, "group %s", name) : err_set(err, "unknown group: %s", name);
	*gid = gr.gr_gid;
	return true;
}

static bool ids_are(uid_t uid, gid_t gid)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	if (getresuid(&r, &e, &s) < 0 || getresgid(&rg, &eg, &sg) < 0)
		return false;
	return r == uid && e == uid && s == uid && rg == gid && eg == gid && sg == gid;
}

bool sys_become(uid_t uid, gid_t gid, const gid_t *groups, size_t ngroups, struct err *err)
{
	if (geteuid() != 0) {
		if (getuid() == uid && geteuid() == uid)
			return true;
		return err_set(err, "cannot become uid %u: running as uid %u", uid, geteuid());
	}
	if (setgroups(ngroups, groups) < 0 || getgroups(0, NULL) != (int)ngroups)
		return err_errno(err, "setgroups for uid %u", uid);
	if (setresgid(gid, gid, gid) < 0)
		return err_errno(err, "setgid %u", gid);
	if (setresuid(uid, uid, uid) < 0)
		return err_errno(err, "setuid %u", uid);
	if (!ids_are(uid, gid) || (uid != 0 && setuid(0) == 0))
		return err_set(err, "privileges of uid %u were not given up", geteuid());
	return true;
}
