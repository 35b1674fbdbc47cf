/* Delivery to a Maildir (maildir(5) of qmail): written in tmp, forced out, then moved to new under a name
 * that nobody else makes. */
#include "base/clock.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/sys_identity.h"
#include "deliver/deliver.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADERS_MAX 16384

struct maildir {
	struct deliver_job *job;
	const char *path;
	int base, tmp, new; /* directories */
	int fd;
	char temporary[200]; /* name in tmp; "" when there is none */
	const char *refused; /* what is wrong with the destination; NULL: a call failed */
	const char *doing;   /* for the report of a failure */
};

/* A symbolic link is followed only when the user or root made it. */
static int open_directory(int at, const char *name, uid_t owner)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	int fd = openat(at, name, flags | O_NOFOLLOW);
	struct stat st;

	if (fd >= 0 || (errno != ELOOP && errno != ENOTDIR))
		return fd;
	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISLNK(st.st_mode) ||
		(st.st_uid != owner && st.st_uid != 0)) {
		errno = ELOOP;
		return -1;
	}
	return openat(at, name, flags);
}

static int open_or_make(int at, const char *name, uid_t owner)
{
	int fd = open_directory(at, name, owner);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return -1;
	return open_directory(at, name, owner);
}

/* The directories up to the last component. They lie in the user's home: made with the user's rights. */
static bool make_parents(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *parent = slash && slash != path ? x_strndup(path, (size_t)(slash - path)) : NULL;
	bool ok = !parent || sys_mkdirs(parent, 0700, NULL);

	x_free(&parent);
	return ok;
}

static bool open_parts(struct maildir *m)
{
	uid_t owner = m->job->user->uid;
	struct stat st;

	m->base = open_or_make(AT_FDCWD, m->path, owner);
	if (m->base < 0 && errno == ENOENT && make_parents(m->path))
		m->base = open_or_make(AT_FDCWD, m->path, owner);
	if (m->base < 0 || fstat(m->base, &st) < 0)
		return false;
	if (st.st_uid != owner && m->job->settings->cfg->strict_mailbox_ownership) {
		m->refused = "not owned by recipient";
		return false;
	}
	m->tmp = open_or_make(m->base, "tmp", owner);
	m->new = m->tmp < 0 ? -1 : open_or_make(m->base, "new", owner);
	if (m->new < 0)
		return false;
	return mkdirat(m->base, "cur", 0700) == 0 || errno == EEXIST;
}

static bool make_file(struct maildir *m)
{
	int64_t now = clock_real();

	snprintf(m->temporary, sizeof(m->temporary), "%lld.M%lldP%dQ%s.%s", (long long)(now / US_PER_SEC),
		(long long)(now % US_PER_SEC), (int)getpid(), m->job->queue_id, m->job->settings->host);
	m->fd = openat(m->tmp, m->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (m->fd < 0)
		m->temporary[0] = '\0';
	return m->fd >= 0;
}

/* Device and inode number are nobody else's while the file exists (both names lie in one file system). */
static bool publish(struct maildir *m)
{
	int64_t now = clock_real();
	char name[200];
	struct stat st;
	int status;

	if (fstat(m->fd, &st) < 0)
		return false;
	snprintf(name, sizeof(name), "%lld.V%llxI%llxM%lld.%s", (long long)(now / US_PER_SEC),
		(unsigned long long)st.st_dev, (unsigned long long)st.st_ino, (long long)(now % US_PER_SEC),
		m->job->settings->host);
	status = renameat2(m->tmp, m->temporary, m->new, name, RENAME_NOREPLACE);
	if (status < 0 && (errno == EINVAL || errno == ENOSYS))
		status = renameat(m->tmp, m->temporary, m->new, name);
	if (status < 0)
		return false;
	m->temporary[0] = '\0';
	return fsync(m->new) == 0;
}

static int64_t size_limit(const struct deliver_job *job)
{
	return job->settings->size_limit > 0 ? job->settings->size_limit : -1;
}

static enum deliver_step write_file(struct maildir *m, struct err *err)
{
	struct buf head = BUF(HEADERS_MAX);
	enum deliver_step step;

	m->doing = "write";
	deliver_headers(m->job, &head);
	step = deliver_copy_to_file(m->job, buf_slice(&head), m->fd, false, size_limit(m->job), err);
	buf_free(&head);
	if (step == DELIVER_COPIED && (fsync(m->fd) < 0 || !publish(m)))
		step = DELIVER_WRITE_FAILED;
	return step;
}

static void maildir_close(struct maildir *m)
{
	int error = errno;

	if (m->temporary[0])
		unlinkat(m->tmp, m->temporary, 0);
	sys_close(&m->fd);
	sys_close(&m->new);
	sys_close(&m->tmp);
	sys_close(&m->base);
	errno = error;
}

static const struct dsn *failure(struct maildir *m, int error)
{
	const struct deliver_user *u = m->job->user;
	struct pool *pool = m->job->pool;
	const struct dsn *dsn;

	if (m->refused)
		return dsn_make(
			pool, DSN_DELAYED, "4.2.0", "maildir delivery failed: %s: %s", m->path, m->refused);
	dsn = deliver_failure(
		pool, m->job->settings->hosted, error, "maildir delivery failed: %s %s", m->doing, m->path);

	if (error == EACCES || error == EPERM || error == ENOENT)
		log_warning("maildir access problem for UID/GID=%u/%u: %s", u->uid, u->gid, dsn->reason);
	return dsn;
}

static const struct dsn *deliver_as_user(struct maildir *m)
{
	struct err err = {""};
	enum deliver_step step = DELIVER_WRITE_FAILED;

	m->doing = "create maildir file in";
	if (open_parts(m) && make_file(m))
		step = write_file(m, &err);
	maildir_close(m);
	if (step == DELIVER_COPIED)
		return dsn_make(m->job->pool, DSN_DELIVERED, "2.0.0", "delivered to maildir");
	if (step == DELIVER_READ_FAILED)
		return dsn_make(m->job->pool, DSN_DELAYED, "4.3.0", "cannot read the message: %s", err.text);
	return failure(m, errno);
}

/*
 * Where only root may make names (a mail spool directory of root's that is not open to all), the user's
 * Maildir is made for the user. Nobody else can have put something else in the place between the two steps.
 */
static void make_for_user(const char *path, const struct deliver_user *user)
{
	const char *slash = strrchr(path, '/');
	char *parent = x_strndup(path, slash ? (size_t)(slash - path + 1) : 0);
	struct stat st;
	int fd = -1;

	if (geteuid() == 0 && parent[0] && stat(parent, &st) == 0 && st.st_uid == 0 &&
		!(st.st_mode & S_IWOTH) && mkdir(path, 0700) == 0)
		fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && fchown(fd, user->uid, user->gid) < 0)
		log_warning("give %s to user %s: %m", path, user->name);
	sys_close(&fd);
	x_free(&parent);
}

const struct dsn *deliver_maildir(struct deliver_job *job, const char *path, enum deliver_place place)
{
	char *plain = pool_strdup(job->pool, path);
	struct maildir m = {.job = job, .path = plain, .base = -1, .tmp = -1, .new = -1, .fd = -1};
	struct sys_identity saved;
	const struct dsn *dsn;
	struct err err = {""};

	while (strlen(plain) > 1 && plain[strlen(plain) - 1] == '/')
		plain[strlen(plain) - 1] = '\0';
	if (place == DELIVER_SHARED)
		make_for_user(plain, job->user);
	if (!sys_act_as(&saved, job->user->uid, job->user->gid, &err))
		return dsn_make(job->pool, DSN_DELAYED, "4.3.0", "%s", err.text);
	dsn = deliver_as_user(&m);
	sys_act_back(&saved);
	return dsn;
}
