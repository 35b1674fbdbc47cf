/* Delivery to a mailbox file in mbox form, under lock; what could not be written whole is taken back. */
#include "base/clock.h"
#include "base/sys.h"
#include "base/sys_identity.h"
#include "local/local.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADERS_MAX 16384

struct mailbox {
	struct local_job *job;
	const char *path;
	bool shared;
	int fd;
	struct local_lock lock;
	struct sys_identity saved;
	const char *refused; /* what is wrong with the destination; NULL: a call failed */
	const char *doing;
};

static int open_existing(const char *path)
{
	return open(path, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* In the spool directory of root a new mailbox is made by root and given to the user; its group is the
 * directory's. */
static int open_or_create(const struct mailbox *m)
{
	int fd = open_existing(m->path);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	fd = open(m->path, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? open_existing(m->path) : -1;
	if (geteuid() == 0 && m->job->user->uid != 0 && fchown(fd, m->job->user->uid, (gid_t)-1) < 0) {
		unlink(m->path);
		sys_close(&fd);
	}
	return fd;
}

/* Another name of the file could be one that the user may not write. */
static bool is_safe(struct mailbox *m)
{
	struct stat st;

	if (fstat(m->fd, &st) < 0)
		return false;
	if (!S_ISREG(st.st_mode))
		m->refused = "not a regular file";
	else if (st.st_nlink != 1)
		m->refused = "has several names";
	else if (m->job->settings->cfg->strict_mailbox_ownership && st.st_uid != m->job->user->uid)
		m->refused = "not owned by recipient";
	return m->refused == NULL;
}

static bool become_user(struct mailbox *m)
{
	struct err err;

	m->doing = "cannot act as the owner of";
	errno = EAGAIN;
	return sys_act_as(&m->saved, m->job->user->uid, m->job->user->gid, &err);
}

/* The dotlock and a new mailbox need the rights of the directory: root's in a shared one, the user's at home.
 */
static bool open_and_lock(struct mailbox *m)
{
	const struct config *cfg = m->job->settings->cfg;

	if (!m->shared && !become_user(m))
		return false;
	m->doing = "unable to lock for exclusive access:";
	m->lock.locks = m->job->settings->locks;
	if ((m->lock.locks & LOCK_DOTLOCK) && !local_lock_dot(&m->lock, cfg, m->path))
		return false;
	m->doing = "unable to open:";
	m->fd = open_or_create(m);
	if (m->fd < 0 || !is_safe(m))
		return false;
	if (m->shared && !become_user(m))
		return false;
	m->doing = "unable to lock for exclusive access:";
	return local_lock_file(&m->lock, cfg, m->fd);
}

static int64_t room_left(const struct local_job *job, off_t size)
{
	long long limit = job->settings->cfg->mailbox_size_limit;

	if (limit <= 0)
		return -1;
	return limit > size ? limit - size : 0;
}

static enum local_step append(struct mailbox *m, struct err *err)
{
	struct buf head = BUF(HEADERS_MAX);
	off_t size = lseek(m->fd, 0, SEEK_END);
	enum local_step step;
	int error;

	m->doing = "error writing message:";
	local_from_line(m->job, clock_real(), &head);
	local_headers(m->job, &head);
	step = local_copy(m->job, buf_slice(&head), m->fd, true, room_left(m->job, size), err);
	buf_free(&head);
	if (step == LOCAL_COPIED && fsync(m->fd) < 0)
		step = LOCAL_WRITE_FAILED;
	error = errno;
	if (step != LOCAL_COPIED && ftruncate(m->fd, size) < 0)
		m->doing = "error writing message, and a part of it stays:";
	errno = error;
	return step;
}

static const struct dsn *outcome(struct mailbox *m, enum local_step step, int error, const struct err *err)
{
	struct pool *pool = m->job->pool;

	if (step == LOCAL_COPIED)
		return dsn_make(pool, DSN_DELIVERED, "2.0.0", "delivered to mailbox");
	if (step == LOCAL_READ_FAILED)
		return dsn_make(pool, DSN_DELAYED, "4.3.0", "cannot read the message: %s", err->text);
	if (m->refused)
		return dsn_make(pool, DSN_DELAYED, "4.2.0",
			"cannot update mailbox %s for user %s. destination: %s", m->path, m->job->user->name,
			m->refused);
	return local_failure(pool, error, "cannot update mailbox %s for user %s. %s", m->path,
		m->job->user->name, m->doing);
}

const struct dsn *local_mailbox(struct local_job *job, const char *path, bool shared)
{
	struct mailbox m = {.job = job, .path = path, .shared = shared, .fd = -1};
	enum local_step step = LOCAL_WRITE_FAILED;
	struct err err = {""};
	int error;

	if (open_and_lock(&m))
		step = append(&m, &err);
	error = errno;
	sys_close(&m.fd);
	if (shared)
		sys_act_back(&m.saved);
	local_unlock(&m.lock);
	sys_act_back(&m.saved);
	return outcome(&m, step, error, &err);
}
