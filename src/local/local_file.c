/* Files that users write and we obey. Opened with the rights of who named them, looked at after they are
 * open. */
#include "base/sys.h"
#include "base/sys_identity.h"
#include "local/local.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_absent(int error)
{
	return error == ENOENT || error == ENOTDIR || error == EACCES || error == ENAMETOOLONG;
}

static enum local_file check(
	int fd, const char *path, const struct deliver_user *user, bool owned, uid_t *owner, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		err_errno(err, "file %s", path);
		return LOCAL_FILE_TROUBLE;
	}
	*owner = st.st_uid;
	if (!S_ISREG(st.st_mode))
		err_set(err, "file %s is not a regular file", path);
	else if (owned && st.st_uid != user->uid && st.st_uid != 0)
		err_set(err, "file %s has bad owner uid %u", path, st.st_uid);
	else if (st.st_mode & S_IWOTH)
		err_set(err, "file %s is world writable", path);
	else
		return LOCAL_FILE_READ;
	return LOCAL_FILE_REFUSED;
}

static enum local_file read_all(int fd, const char *path, struct buf *text, struct err *err)
{
	char piece[16384];
	ssize_t n;

	while ((n = read(fd, piece, sizeof(piece))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_errno(err, "read %s", path);
			return LOCAL_FILE_TROUBLE;
		}
		if (!buf_add(text, piece, (size_t)n)) {
			err_set(err, "file %s is larger than %zu bytes", path, text->max);
			return LOCAL_FILE_REFUSED;
		}
	}
	return LOCAL_FILE_READ;
}

static enum local_file open_and_read(const char *path, const struct deliver_user *user, bool owned,
	struct buf *text, uid_t *owner, struct err *err)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	enum local_file result;

	if (fd < 0 && errno == ELOOP) {
		err_set(err, "file %s is a symbolic link", path);
		return LOCAL_FILE_REFUSED;
	}
	if (fd < 0) {
		result = is_absent(errno) ? LOCAL_FILE_ABSENT : LOCAL_FILE_TROUBLE;
		err_errno(err, "open %s", path);
		return result;
	}
	result = check(fd, path, user, owned, owner, err);
	if (result == LOCAL_FILE_READ)
		result = read_all(fd, path, text, err);
	sys_close(&fd);
	return result;
}

enum local_file local_file_read(const char *path, const struct deliver_user *user, bool owned_by_user,
	struct buf *text, uid_t *owner, struct err *err)
{
	struct sys_identity saved = {0};
	enum local_file result;

	if (user && geteuid() == 0 && !sys_act_as(&saved, user->uid, user->gid, err))
		return LOCAL_FILE_TROUBLE;
	result = open_and_read(path, user, owned_by_user, text, owner, err);
	sys_act_back(&saved);
	return result;
}
