#include "base/sys_identity.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UNCHANGED (-1)

/* The C library's functions change all threads; the kernel's calls only the one that makes them. */
static bool set_groups(int count, const gid_t *groups)
{
	return syscall(SYS_setgroups, (size_t)count, groups) == 0;
}

static bool set_gid(gid_t gid)
{
	return syscall(SYS_setresgid, UNCHANGED, gid, UNCHANGED) == 0;
}

static bool set_uid(uid_t uid)
{
	return syscall(SYS_setresuid, UNCHANGED, uid, UNCHANGED) == 0;
}

bool sys_act_as(struct sys_identity *saved, uid_t uid, gid_t gid, struct err *err)
{
	saved->changed = false;
	if (geteuid() != 0)
		return uid == geteuid() ||
		       err_set(err, "cannot act as uid %u: running as uid %u", uid, geteuid());
	saved->gid = getegid();
	saved->group_count = getgroups(SYS_IDENTITY_GROUPS, saved->groups);
	if (saved->group_count < 0)
		return err_errno(err, "getgroups");
	saved->changed = true;
	if (set_groups(1, &gid) && set_gid(gid) && set_uid(uid) && geteuid() == uid && getegid() == gid)
		return true;
	err_errno(err, "act as uid %u gid %u", uid, gid);
	sys_act_back(saved);
	return false;
}

void sys_act_back(struct sys_identity *saved)
{
	int error = errno;

	if (!saved->changed)
		return;
	if (!set_uid(0) || !set_gid(saved->gid) || !set_groups(saved->group_count, saved->groups) ||
		geteuid() != 0)
		abort();
	saved->changed = false;
	errno = error;
}
