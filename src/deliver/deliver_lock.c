/* Locks on a mailbox file, taken in the order dotlock, then fcntl and flock, as other mail programs do. */
#include "base/clock.h"
#include "base/mem.h"
#include "deliver/deliver.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static void pause_between(const struct config *cfg)
{
	struct timespec ts = {.tv_sec = cfg->deliver_lock_delay};

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		continue;
}

/* A dotlock that is older than stale_lock_time was left by a program that died. */
static void remove_stale(const struct config *cfg, const char *dotlock)
{
	struct stat st;

	if (lstat(dotlock, &st) == 0 && S_ISREG(st.st_mode) &&
		st.st_ctime + cfg->stale_lock_time < clock_real() / US_PER_SEC)
		unlink(dotlock);
}

static bool make_dotlock(const char *dotlock)
{
	int fd = open(dotlock, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

bool deliver_lock_dot(struct deliver_lock *lock, const struct config *cfg, const char *path)
{
	char *dotlock = x_asprintf("%s.lock", path);
	bool made = false;

	for (int i = 0; !made && i < cfg->deliver_lock_attempts; i++) {
		if (i > 0)
			pause_between(cfg);
		remove_stale(cfg, dotlock);
		made = make_dotlock(dotlock);
		if (!made && errno != EEXIST)
			break;
	}
	if (made) {
		lock->dotlock = dotlock;
		return true;
	}
	if (errno == EEXIST)
		errno = EAGAIN;
	x_free(&dotlock);
	return false;
}

static bool lock_once(int locks, int fd)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if ((locks & LOCK_FCNTL) && fcntl(fd, F_SETLK, &all) < 0)
		return false;
	return !(locks & LOCK_FLOCK) || flock(fd, LOCK_EX | LOCK_NB) == 0;
}

bool deliver_lock_file(struct deliver_lock *lock, const struct config *cfg, int fd)
{
	lock->fd = fd;
	for (int i = 0; i < cfg->deliver_lock_attempts; i++) {
		if (i > 0)
			pause_between(cfg);
		if (lock_once(lock->locks, fd))
			return true;
		if (errno != EAGAIN && errno != EACCES)
			return false;
	}
	errno = EAGAIN;
	return false;
}

/* The locks on the file itself end when it is closed. */
void deliver_unlock(struct deliver_lock *lock)
{
	int error = errno;

	if (lock->dotlock)
		unlink(lock->dotlock);
	x_free(&lock->dotlock);
	errno = error;
}
