#include "table/build_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sys.h"

static bool lock_directory(struct build_file *f, struct err *err)
{
	const char *slash = strrchr(f->path, '/');
	char *name = slash == f->path ? x_strdup("/")
		     : slash	      ? x_strndup(f->path, (size_t)(slash - f->path))
				      : x_strdup(".");

	f->directory = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->directory < 0)
		err_errno(err, "open directory %s", name);
	else if (flock(f->directory, LOCK_EX) < 0)
		err_errno(err, "lock directory %s", name);
	else {
		x_free(&name);
		return true;
	}
	x_free(&name);
	return false;
}

static bool make_temporary(struct build_file *f, mode_t mode, struct err *err)
{
	struct stat st;
	int fd;

	/* We have the directory's lock: one that is there was left by a process that was killed. */
	f->temporary = x_asprintf("%s.new", f->path);
	unlink(f->temporary);
	fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, "open database %s", f->path);
	f->made = true;
	if (lstat(f->path, &st) == 0 && S_ISREG(st.st_mode)) {
		mode = st.st_mode & 0777;
		if (geteuid() == 0 && fchown(fd, st.st_uid, st.st_gid) < 0)
			err_errno(err, "change the owner of %s", f->temporary);
	}
	fchmod(fd, mode);
	sys_close(&fd);
	return true;
}

bool build_file_begin(struct build_file *f, char *path, mode_t mode, struct err *err)
{
	*f = (struct build_file){.path = path, .directory = -1};
	return lock_directory(f, err) && make_temporary(f, mode, err);
}

bool build_file_replace(struct build_file *f, struct err *err)
{
	if (rename(f->temporary, f->path) < 0)
		return err_errno(err, "replace database %s", f->path);
	f->made = false;
	return fsync(f->directory) == 0 || err_errno(err, "write directory of %s", f->path);
}

void build_file_end(struct build_file *f)
{
	if (f->made)
		unlink(f->temporary);
	sys_close(&f->directory);
	x_free(&f->temporary);
	x_free(&f->path);
}
