#include "base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

bool sys_write_all(int fd, const void *data, size_t n)
{
	const char *p = data;

	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

bool sys_pwrite_all(int fd, const void *data, size_t n, off_t at)
{
	const char *p = data;

	while (n > 0) {
		ssize_t done = pwrite(fd, p, n, at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return false;
		p += done;
		at += done;
		n -= (size_t)done;
	}
	return true;
}

ssize_t sys_pread_all(int fd, void *data, size_t n, off_t at)
{
	char *p = data;
	size_t total = 0;

	while (total < n) {
		ssize_t done = pread(fd, p + total, n - total, at + (off_t)total);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -1;
		if (done == 0)
			break;
		total += (size_t)done;
	}
	return (ssize_t)total;
}

void sys_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

bool sys_read_file(const char *path, struct buf *out, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char piece[16384];
	ssize_t n;

	if (fd < 0)
		return err_errno(err, "open %s", path);
	while ((n = read(fd, piece, sizeof(piece))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || !buf_add(out, piece, (size_t)n))
			break;
	}
	if (n < 0)
		err_errno(err, "read %s", path);
	else if (n > 0)
		err_set(err, "%s: larger than %zu bytes", path, out->max);
	sys_close(&fd);
	return n == 0;
}

bool sys_mkdirs(const char *path, mode_t mode, struct err *err)
{
	struct buf partial = BUF(4096);
	struct stat st;
	bool ok = true;

	for (const char *p = path; ok && *p;) {
		const char *slash = strchrnul(p + 1, '/');

		if (!buf_add(&partial, p, (size_t)(slash - p)))
			ok = err_set(err, "%s: name too long", path);
		else if (mkdir(partial.data, mode) < 0 && errno != EEXIST &&
			 !(stat(partial.data, &st) == 0 && S_ISDIR(st.st_mode)))
			ok = err_errno(err, "mkdir %s", partial.data);
		p = slash;
	}
	if (ok && (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)))
		ok = err_set(err, "%s: not a directory", path);
	buf_free(&partial);
	return ok;
}

/* The holder is asked for after the failed attempt, so it may just have let go. */
static bool lock_now(int fd, const char *path, struct err *err)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_SETLK, &lock) == 0)
		return true;
	if (errno != EAGAIN && errno != EACCES)
		return err_errno(err, "lock %s", path);
	if (fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0)
		err_set(err, "%s: locked by process %d", path, (int)lock.l_pid);
	else
		err_set(err, "%s: locked by another process", path);
	errno = EAGAIN;
	return false;
}

int sys_lock_file(const char *path, struct err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0) {
		err_errno(err, "open %s", path);
		return -1;
	}
	if (!lock_now(fd, path, err))
		sys_close(&fd);
	return fd;
}

void sys_random(void *out, size_t n)
{
	unsigned char *p = out;

	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			abort();
		p += got;
		n -= (size_t)got;
	}
}

void sys_wipe(void *p, size_t n)
{
	if (n > 0)
		explicit_bzero(p, n);
}
