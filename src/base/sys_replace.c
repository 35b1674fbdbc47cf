/* sys_replace_file: a reader sees the old file or the new one, also after a crash. */
#include "base/mem.h"
#include "base/sys.h"
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static bool keep_owner(int fd, const struct stat *old)
{
	if (old->st_uid == geteuid() && old->st_gid == getegid())
		return true;
	return fchown(fd, old->st_uid, old->st_gid) == 0;
}

/* The owner is set before the mode: fchown may clear mode bits. */
static bool fill(int fd, struct str content, mode_t mode, const struct stat *old)
{
	if (old && !keep_owner(fd, old))
		return false;
	if (fchmod(fd, old ? old->st_mode & 07777 : mode) < 0)
		return false;
	return sys_write_all(fd, content.p, content.n) && fsync(fd) == 0;
}

static bool sync_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? x_strndup(path, (size_t)(slash - path + 1)) : x_strdup(".");
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;

	x_free(&dir);
	sys_close(&fd);
	return ok;
}

static bool replace_real(const char *path, struct str content, mode_t mode, struct err *err)
{
	char *temporary = x_asprintf("%s.XXXXXX", path);
	struct stat old;
	bool exists = stat(path, &old) == 0;
	int fd = mkostemp(temporary, O_CLOEXEC);
	bool ok;

	if (fd < 0) {
		ok = err_errno(err, "create %s", temporary);
	} else if (!fill(fd, content, mode, exists ? &old : NULL) || rename(temporary, path) < 0) {
		ok = err_errno(err, "write %s", path);
		unlink(temporary);
	} else {
		ok = sync_directory(path) || err_errno(err, "sync directory of %s", path);
	}
	sys_close(&fd);
	x_free(&temporary);
	return ok;
}

/* A symbolic link stays: what it points to is replaced. */
bool sys_replace_file(const char *path, struct str content, mode_t mode, struct err *err)
{
	char *real = realpath(path, NULL);
	bool ok = replace_real(real ? real : path, content, mode, err);

	free(real);
	return ok;
}
