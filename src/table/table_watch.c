#include "table/table_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/sys.h"
#include "table/table_outside.h"

#define CHECK_INTERVAL NS_PER_SEC
#define REST (NS_PER_SEC / 4)

struct file_identity {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec written, changed;
};

struct table_watch {
	struct list link; /* in watches */
	char *spec;
	enum watch_style style;
	pthread_rwlock_t lock; /* guards the table's state and warnings, path, fd and current */
	char *path;
	int fd; /* the file itself, to see what becomes of it; -1: there was none */
	struct file_identity current;
	_Atomic int64_t next_check; /* clock_mono() */
	pthread_mutex_t checking;   /* guards what follows; held while a new file is opened */
	struct file_identity seen;  /* at the last check */
	_Atomic bool stuck;	    /* the file changed, and this process cannot open the new one */
};

static struct {
	pthread_mutex_t lock; /* guards the list */
	struct list list;
} watches = {PTHREAD_MUTEX_INITIALIZER, {&watches.list, &watches.list}};

/* ---- files */

static void set_identity(struct file_identity *id, const struct stat *st)
{
	*id = (struct file_identity){st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim};
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_file(const struct file_identity *a, const struct file_identity *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       same_time(&a->written, &b->written) && same_time(&a->changed, &b->changed);
}

/* In a jail, or behind a directory that is closed to us, the name means nothing; but a file that lost its
 * name, or was written, shows it. */
static bool identify(struct table_watch *w, struct file_identity *id)
{
	struct stat st;
	bool ok;

	pthread_rwlock_rdlock(&w->lock);
	ok = !table_outside_active() && stat(w->path, &st) == 0;
	if (!ok && (table_outside_active() || errno == EACCES))
		ok = fstat(w->fd, &st) == 0;
	pthread_rwlock_unlock(&w->lock);
	ok = ok && S_ISREG(st.st_mode); /* what came through a pipe does not come again */
	if (ok)
		set_identity(id, &st);
	return ok;
}

static bool is_current(struct table_watch *w, const struct file_identity *id)
{
	bool same;

	pthread_rwlock_rdlock(&w->lock);
	same = same_file(id, &w->current);
	pthread_rwlock_unlock(&w->lock);
	return same;
}

/* ---- a watch's life */

static struct table_watch *watch_new(const char *spec)
{
	struct table_watch *w = x_alloc(sizeof(*w));
	pthread_rwlockattr_t attributes;

	w->spec = x_strdup(spec);
	w->fd = -1;
	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&w->lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
	pthread_mutex_init(&w->checking, NULL);
	pthread_mutex_lock(&watches.lock);
	list_append(&watches.list, &w->link);
	pthread_mutex_unlock(&watches.lock);
	return w;
}

static void watch_file(struct table_watch *w, const char *path, enum watch_style style)
{
	struct stat st;

	pthread_rwlock_wrlock(&w->lock);
	x_free(&w->path);
	sys_close(&w->fd);
	w->path = x_strdup(path);
	w->style = style;
	w->current = (struct file_identity){0};
	w->fd = open(path, O_PATH | O_CLOEXEC);
	if (w->fd >= 0 && fstat(w->fd, &st) == 0)
		set_identity(&w->current, &st);
	pthread_rwlock_unlock(&w->lock);
	atomic_store(&w->next_check, clock_mono() + CHECK_INTERVAL);
}

void table_watch_file(struct table *t, const char *path, enum watch_style style)
{
	if (!t->watch)
		t->watch = watch_new(t->spec);
	watch_file(t->watch, path, style);
}

struct table_watch *table_watch_list(const char *path)
{
	struct table_watch *w = watch_new(path);

	watch_file(w, path, WATCH_LISTED);
	return w;
}

void table_watch_free(struct table_watch **wp)
{
	struct table_watch *w = *wp;

	if (!w)
		return;
	pthread_mutex_lock(&watches.lock);
	list_remove(&w->link);
	pthread_mutex_unlock(&watches.lock);
	pthread_rwlock_destroy(&w->lock);
	pthread_mutex_destroy(&w->checking);
	sys_close(&w->fd);
	x_free(&w->path);
	x_free(&w->spec);
	x_free(wp);
}

bool table_watch_forbidden(const struct table_watch *w)
{
	struct stat st;

	return stat(w->path, &st) == 0 && S_ISREG(st.st_mode) &&
	       faccessat(AT_FDCWD, w->path, R_OK, AT_EACCESS) != 0 && errno == EACCES;
}

void table_watch_appeared(struct table_watch *w)
{
	if (w->fd < 0)
		atomic_store(&w->stuck, true);
}

/* ---- taking up a new file */

static void report_warning(void *arg, const char *text)
{
	table_report(LOGL_WARNING, "%s", text);
}

/* The table gets the state of the fresh one, which gets the old state and goes away with it. */
static void exchange(struct table *t, struct table *fresh)
{
	struct table_watch *w = t->watch, *f = fresh->watch;
	const struct table old = *t;
	const int old_fd = w->fd;
	char *const old_path = w->path;

	pthread_rwlock_wrlock(&w->lock);
	t->state = fresh->state;
	t->warnings = fresh->warnings;
	t->warning_count = fresh->warning_count;
	w->current = f->current;
	w->path = f->path;
	w->fd = f->fd;
	pthread_rwlock_unlock(&w->lock);
	fresh->state = old.state;
	fresh->warnings = old.warnings;
	fresh->warning_count = old.warning_count;
	f->path = old_path;
	f->fd = old_fd;
}

static bool out_of_reach(const struct table_watch *w)
{
	return table_outside_active() ||
	       (faccessat(AT_FDCWD, w->path, R_OK, AT_EACCESS) != 0 && errno == EACCES);
}

/* A file that cannot be opened (half gone, of another kind) leaves the old one in use. */
static void take_up(struct table *t)
{
	struct table *fresh = table_outside_active() ? NULL : table_open(t->spec, t->flags, NULL);

	if (fresh) {
		table_warnings(fresh, report_warning, NULL);
		exchange(t, fresh);
		table_close(&fresh);
	} else if (out_of_reach(t->watch)) {
		atomic_store(&t->watch->stuck, true);
	}
}

/* Whether there is a new file that can be taken up; with the lock `checking`. */
static bool has_new_file(struct table_watch *w)
{
	struct file_identity id;
	bool rested;

	if (!identify(w, &id) || is_current(w, &id))
		return false;
	rested = w->style == WATCH_REPLACED || same_file(&id, &w->seen);
	w->seen = id;
	if (!rested)
		atomic_store(&w->next_check, clock_mono() + REST);
	return rested;
}

static bool check_is_due(struct table_watch *w)
{
	int64_t now = clock_mono();

	if (now < atomic_load(&w->next_check) || pthread_mutex_trylock(&w->checking) != 0)
		return false;
	atomic_store(&w->next_check, now + CHECK_INTERVAL);
	return true;
}

void table_watch_enter(struct table *t)
{
	struct table_watch *w = t->watch;

	if (!w)
		return;
	if (!atomic_load(&w->stuck) && check_is_due(w)) {
		if (has_new_file(w))
			take_up(t);
		pthread_mutex_unlock(&w->checking);
	}
	pthread_rwlock_rdlock(&w->lock);
}

void table_watch_leave(struct table *t)
{
	if (t->watch)
		pthread_rwlock_unlock(&t->watch->lock);
}

/* Files of tables that nobody asks are looked at too. What can be taken up here is left to the next lookup.
 */
static bool needs_renewal(struct table_watch *w)
{
	if (!atomic_load(&w->stuck) && check_is_due(w)) {
		const bool changed = has_new_file(w);

		if (changed && (w->style == WATCH_LISTED || out_of_reach(w)))
			atomic_store(&w->stuck, true);
		else if (changed)
			atomic_store(&w->next_check, 0);
		pthread_mutex_unlock(&w->checking);
	}
	return atomic_load(&w->stuck);
}

bool table_watch_stuck(struct buf *which)
{
	bool due = false;

	pthread_mutex_lock(&watches.lock);
	list_each(pos, &watches.list)
	{
		struct table_watch *w = container_of(pos, struct table_watch, link);

		if (!due && needs_renewal(w)) {
			buf_puts(which, w->spec);
			due = true;
		}
	}
	pthread_mutex_unlock(&watches.lock);
	return due;
}
