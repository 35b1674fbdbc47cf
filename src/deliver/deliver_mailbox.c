/* Delivery to a mailbox file in mbox form, under lock; what could not be written whole is taken back. */
#include "base/clock.h"
#include "base/sys.h"
#include "base/sys_identity.h"
#include "deliver/deliver.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADERS_MAX 16384

struct mailbox {
	struct deliver_job *job;
	const char *path;
	enum deliver_place place;
	bool device; /* not a file: nothing to lock, cut back or force out */
	int fd;
	struct deliver_lock lock;
	struct sys_identity saved;
	const char *refused; /* what is wrong with the destination; NULL: a call failed */
	const char *doing;
};

static int open_existing(const char *path)
{
	return open(path, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* A mailbox that root made is given to the user. Its group is the directory's where that says so
 * (set-group-id), else the user's. */
static bool give_to_user(int fd, const struct deliver_user *user)
{
	struct stat st;

	if (geteuid() != 0 || user->uid == 0)
		return true;
	return fstat(fd, &st) == 0 &&
	       fchown(fd, user->uid, st.st_gid == getegid() ? user->gid : (gid_t)-1) == 0;
}

static int open_or_create(struct mailbox *m)
{
	int fd = open_existing(m->path);

	m->doing = "cannot open file";
	if (fd >= 0 || errno != ENOENT)
		return fd;
	m->doing = "cannot create file exclusively";
	fd = open(m->path, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? open_existing(m->path) : -1;
	if (!give_to_user(fd, m->job->user)) {
		unlink(m->path);
		sys_close(&fd);
	}
	return fd;
}

/* A file that somebody named need not be that user's own: its permissions decide. */
static bool is_strict(const struct mailbox *m)
{
	return m->place != DELIVER_FILE && m->job->settings->cfg->strict_mailbox_ownership;
}

/* Another name of the file could be one that the user may not write. */
static bool is_safe(struct mailbox *m)
{
	struct stat st;

	if (fstat(m->fd, &st) < 0)
		return false;
	m->device = m->place == DELIVER_FILE && S_ISCHR(st.st_mode);
	if (m->device)
		return true;
	if (!S_ISREG(st.st_mode))
		m->refused = "not a regular file";
	else if (st.st_nlink != 1)
		m->refused = "has several names";
	else if (is_strict(m) && st.st_uid != m->job->user->uid)
		m->refused = "not owned by recipient";
	return m->refused == NULL;
}

static bool become_user(struct mailbox *m)
{
	struct err err;

	m->doing = "cannot act as the owner";
	errno = EAGAIN;
	return sys_act_as(&m->saved, m->job->user->uid, m->job->user->gid, &err);
}

/* A file that somebody named may lie where its owner cannot make a lock file: the lock on the file does then.
 */
static bool lock_name(struct mailbox *m)
{
	m->lock.locks = m->job->settings->locks;
	if (!(m->lock.locks & LOCK_DOTLOCK) || deliver_lock_dot(&m->lock, m->job->settings->cfg, m->path))
		return true;
	if (m->place == DELIVER_FILE && errno != EAGAIN)
		return true;
	m->doing = errno == EAGAIN ? "unable to lock for exclusive access"
				   : pool_printf(m->job->pool, "unable to create lock file %s.lock", m->path);
	return false;
}

/* The dotlock and a new mailbox need the rights of the directory: root's in a shared one, the user's at home.
 */
static bool open_and_lock(struct mailbox *m)
{
	const bool shared = m->place == DELIVER_SHARED;

	if ((!shared && !become_user(m)) || !lock_name(m))
		return false;
	m->fd = open_or_create(m);
	if (m->fd < 0 || !is_safe(m))
		return false;
	if (shared && !become_user(m))
		return false;
	m->doing = "unable to lock for exclusive access";
	return m->device || deliver_lock_file(&m->lock, m->job->settings->cfg, m->fd);
}

static int64_t room_left(const struct deliver_job *job, off_t size)
{
	long long limit = job->settings->size_limit;

	if (limit <= 0)
		return -1;
	return limit > size ? limit - size : 0;
}

/* What could not be written whole is taken back. */
static void cut_back(struct mailbox *m, off_t size)
{
	int error = errno;

	if (!m->device && ftruncate(m->fd, size) < 0)
		m->doing = "error writing message, and a part of it stays";
	errno = error;
}

static enum deliver_step append(struct mailbox *m, struct err *err)
{
	int64_t room = m->device ? -1 : room_left(m->job, lseek(m->fd, 0, SEEK_END));
	off_t size = m->device ? 0 : lseek(m->fd, 0, SEEK_END);
	struct buf head = BUF(HEADERS_MAX);
	enum deliver_step step;

	m->doing = "error writing message";
	deliver_from_line(m->job->sender, clock_real(), &head);
	deliver_headers(m->job, &head);
	step = deliver_copy_to_file(m->job, buf_slice(&head), m->fd, true, room, err);
	if (step == DELIVER_COPIED && !m->device && fsync(m->fd) < 0)
		step = DELIVER_WRITE_FAILED;
	if (step != DELIVER_COPIED)
		cut_back(m, size);
	buf_free(&head);
	return step;
}

/* How a failure is told: "cannot update mailbox x for user y." */
static const char *what_failed(const struct mailbox *m)
{
	struct pool *pool = m->job->pool;

	if (m->place == DELIVER_FILE)
		return pool_printf(pool, "cannot append message to file %s:", m->path);
	if (m->job->settings->hosted)
		return pool_printf(pool, "delivery failed to mailbox %s:", m->path);
	return pool_printf(pool, "cannot update mailbox %s for user %s.", m->path, m->job->user->name);
}

static const struct dsn *outcome(struct mailbox *m, enum deliver_step step, int error, const struct err *err)
{
	struct pool *pool = m->job->pool;

	if (step == DELIVER_COPIED && m->place == DELIVER_FILE)
		return dsn_make(pool, DSN_DELIVERED, "2.0.0", "delivered to file: %s", m->path);
	if (step == DELIVER_COPIED)
		return dsn_make(pool, DSN_DELIVERED, "2.0.0", "delivered to mailbox");
	if (step == DELIVER_READ_FAILED)
		return dsn_make(pool, DSN_DELAYED, "4.3.0", "cannot read the message: %s", err->text);
	if (m->refused)
		return dsn_make(pool, DSN_DELAYED, "4.2.0", "%s destination: %s", what_failed(m), m->refused);
	return deliver_failure(pool, m->job->settings->hosted, error, "%s %s", what_failed(m), m->doing);
}

const struct dsn *deliver_mailbox(struct deliver_job *job, const char *path, enum deliver_place place)
{
	struct mailbox m = {.job = job, .path = path, .place = place, .fd = -1};
	enum deliver_step step = DELIVER_WRITE_FAILED;
	struct err err = {""};
	int error;

	if (open_and_lock(&m))
		step = append(&m, &err);
	error = errno;
	sys_close(&m.fd);
	if (place == DELIVER_SHARED)
		sys_act_back(&m.saved);
	deliver_unlock(&m.lock);
	sys_act_back(&m.saved);
	return outcome(&m, step, error, &err);
}

const struct dsn *deliver_to_path(struct deliver_job *job, const char *path, enum deliver_place place)
{
	size_t n = strlen(path);

	return n > 0 && path[n - 1] == '/' ? deliver_maildir(job, path, place)
					   : deliver_mailbox(job, path, place);
}
