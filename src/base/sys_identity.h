/*
 * Acting as another user for a while: file access, quotas and signals are the user's. Only the calling thread
 * changes; the others keep root.
 */
#ifndef BASE_SYS_IDENTITY_H
#define BASE_SYS_IDENTITY_H

#include "base/err.h"
#include <sys/types.h>

#define SYS_IDENTITY_GROUPS 64

struct sys_identity {
	bool changed;
	gid_t gid;
	int group_count;
	gid_t groups[SYS_IDENTITY_GROUPS];
};

/* The thread becomes uid and gid without other groups; `saved` is for sys_act_back. Without root: only as
 * ourselves, and nothing changes. */
bool sys_act_as(struct sys_identity *saved, uid_t uid, gid_t gid, struct err *err);
/* Root again. A process that could not get it back would do everything wrong from there on: it ends. */
void sys_act_back(struct sys_identity *saved);

#endif
