/* System calls that are easy to get wrong, wrapped once. */
#ifndef BASE_SYS_H
#define BASE_SYS_H

#include "base/buf.h"
#include "base/err.h"
#include <sys/types.h>

bool sys_write_all(int fd, const void *data, size_t n); /* retries EINTR and short writes; errno on failure */
bool sys_pwrite_all(int fd, const void *data, size_t n, off_t at);
ssize_t sys_pread_all(
	int fd, void *data, size_t n, off_t at); /* bytes read (short only at end of file) or -1 */
void sys_close(int *fd);			 /* closes when >= 0 and sets -1 */
/* Whole file into buf (its max is the limit); false with err. */
bool sys_read_file(const char *path, struct buf *out, struct err *err);
/* Atomic replacement: temporary file beside it, fsync, rename; keeps mode and owner of an existing file. */
bool sys_replace_file(const char *path, struct str content, mode_t mode, struct err *err);
bool sys_mkdirs(const char *path, mode_t mode, struct err *err);
/* Gives up privileges for good: setgroups, setgid, setuid in this order, each verified. No-op when not root
 * and uid is ours. */
bool sys_become(uid_t uid, gid_t gid, const gid_t *groups, size_t ngroups, struct err *err);
bool sys_user(const char *name, uid_t *uid, gid_t *gid, struct err *err); /* by name or decimal id */
bool sys_group(const char *name, gid_t *gid, struct err *err);
int sys_lock_file(const char *path,
	struct err
		*err); /* creates and write-locks without waiting; fd, or -1 (text names the holder's pid) */
uint32_t crc32c(uint32_t crc, const void *data, size_t n); /* Castagnoli; start with 0 */
void sys_random(void *out, size_t n);
void sys_wipe(void *p, size_t n); /* clears secrets; not removed by the optimiser */

#endif
