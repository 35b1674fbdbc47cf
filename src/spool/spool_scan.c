#include "base/sys.h"
#include "spool/spool_private.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct scan {
	enum spool_queue queue;
	spool_entry_fn found;
	void *arg;
	struct err *err;
};

/* 1: go on; 0: found() said stop; -1: failure. */
static int scan_directory(const struct scan *scan, int dirfd, const char *name, int depth);

static bool is_level(const char *name)
{
	return name[0] && !name[1] && strchr("0123456789ABCDEF", name[0]);
}

static int scan_entry(const struct scan *scan, int dirfd, const char *name, int depth)
{
	struct str text = str_c(name);
	struct queue_id id = {""};

	if (is_level(name) && depth < SPOOL_DEPTH_MAX)
		return scan_directory(scan, dirfd, name, depth + 1);
	if (!queue_id_valid(text) || text.n >= sizeof(id.text))
		return 1;
	memcpy(id.text, name, text.n);
	return scan->found(scan->arg, scan->queue, &id, dirfd) ? 1 : 0;
}

/* The end and an error are told apart by errno, which must be clear before each call. */
static int scan_entries(const struct scan *scan, DIR *dir, int depth)
{
	int result = 1;

	while (result == 1) {
		struct dirent *entry;

		errno = 0;
		entry = readdir(dir);
		if (!entry && errno == 0)
			return 1;
		if (!entry) {
			err_errno(scan->err, "read queue directory %s", spool_queue_name(scan->queue));
			return -1;
		}
		result = scan_entry(scan, dirfd(dir), entry->d_name, depth);
	}
	return result;
}

static int scan_directory(const struct scan *scan, int parent, const char *name, int depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	int result;

	if (!dir && depth > 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		return 1;
	if (!dir) {
		err_errno(scan->err, "open queue directory %s", spool_queue_name(scan->queue));
		sys_close(&fd);
		return -1;
	}
	result = scan_entries(scan, dir, depth);
	closedir(dir);
	return result;
}

bool spool_scan_entries(struct spool *s, enum spool_queue q, spool_entry_fn found, void *arg, struct err *err)
{
	struct scan scan = {q, found, arg, err};

	return scan_directory(&scan, s->dirs[q], ".", 0) >= 0;
}

struct listener {
	spool_found_fn found;
	void *arg;
};

static bool tell(void *arg, enum spool_queue q, const struct queue_id *id, int dirfd)
{
	struct listener *l = arg;

	return l->found(l->arg, q, id);
}

static bool tell_slot(void *arg, const struct queue_id *id)
{
	struct listener *l = arg;

	return l->found(l->arg, QUEUE_INCOMING, id);
}

bool spool_scan(struct spool *s, enum spool_queue q, spool_found_fn found, void *arg, struct err *err)
{
	struct listener l = {found, arg};

	if (q == QUEUE_INCOMING && !spool_slots_each(s, tell_slot, &l))
		return true;
	return spool_scan_entries(s, q, tell, &l, err);
}

static bool is_in(struct spool *s, enum spool_queue q, const struct queue_id *id)
{
	char path[SPOOL_PATH_MAX];
	struct stat st;

	return spool_path(s, q, id, path) && fstatat(s->dirs[q], path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_in_slot(struct spool *s, const struct queue_id *id, bool search)
{
	struct stat st;
	int slot;
	int fd = search ? spool_slot_search(s, id, O_RDONLY, &slot, &st)
			: spool_slot_open(s, id, O_RDONLY, &slot, &st);
	bool found = fd >= 0;

	sys_close(&fd);
	return found;
}

/* Twice, because the message may be moved from a queue not yet looked at to one that was. */
bool spool_find(struct spool *s, const struct queue_id *id, enum spool_queue *out)
{
	static const enum spool_queue order[] = {
		QUEUE_INCOMING, QUEUE_DEFERRED, QUEUE_HOLD, QUEUE_MAILDROP, QUEUE_ACTIVE, QUEUE_CORRUPT};

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
			if (is_in(s, order[i], id) ||
				(order[i] == QUEUE_INCOMING && is_in_slot(s, id, round == 1))) {
				*out = order[i];
				return true;
			}
		}
	}
	return false;
}
