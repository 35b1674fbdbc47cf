#include "base/sys.h"
#include "spool/spool_private.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

static const char *const names[QUEUE_COUNT] = {
	"maildrop", "incoming", "active", "deferred", "hold", "corrupt"};

const char *spool_queue_name(enum spool_queue q)
{
	return names[q];
}

/* The levels are the last hexadecimal digits of the id's number, the fastest first. */
bool spool_path(
	const struct spool *s, enum spool_queue q, const struct queue_id *id, char out[SPOOL_PATH_MAX])
{
	uint64_t number;
	size_t n = 0;

	if (!memchr(id->text, 0, sizeof(id->text)) || !queue_id_valid(str_c(id->text))) {
		errno = EINVAL;
		return false;
	}
	number = queue_id_number(id) / QUEUE_ID_STEP;
	for (int level = 0; level < s->depth[q]; level++, number >>= 4) {
		out[n++] = "0123456789ABCDEF"[number & 15];
		out[n++] = '/';
	}
	memcpy(out + n, id->text, strlen(id->text) + 1);
	return true;
}

bool spool_make_parents(const struct spool *s, enum spool_queue q, const char *path)
{
	char part[SPOOL_PATH_MAX];
	const char *slash = path;

	while ((slash = strchr(slash, '/'))) {
		memcpy(part, path, (size_t)(slash - path));
		part[slash++ - path] = '\0';
		if (mkdirat(s->dirs[q], part, 0700) == 0) {
			if (geteuid() == 0 &&
				fchownat(s->dirs[q], part, s->owner, s->group, AT_SYMLINK_NOFOLLOW) < 0)
				return false;
		} else if (errno != EEXIST) {
			return false;
		}
	}
	return true;
}

bool spool_rename(int from, const char *old, int to, const char *new)
{
	if (renameat2(from, old, to, new, RENAME_NOREPLACE) == 0)
		return true;
	if (errno != EINVAL) /* the file system does not know the flag */
		return false;
	return faccessat(to, new, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT &&
	       renameat(from, old, to, new) == 0;
}

static int open_parent(const struct spool *s, enum spool_queue q, const char *path)
{
	const char *slash = strrchr(path, '/');
	char parent[SPOOL_PATH_MAX] = ".";

	if (slash) {
		memcpy(parent, path, (size_t)(slash - path));
		parent[slash - path] = '\0';
	}
	return openat(s->dirs[q], parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

bool spool_sync_directory(const struct spool *s, enum spool_queue q, const char *path)
{
	int dir = open_parent(s, q, path);
	bool ok = dir >= 0 && fsync(dir) == 0;

	sys_close(&dir);
	return ok;
}

bool spool_sync_entry(const struct spool *s, enum spool_queue q, const char *path, int fd)
{
	/* a user's postdrop may not open maildrop itself */
	return !s->sync_directory || spool_sync_directory(s, q, path) || syncfs(fd) == 0;
}

/* ext2, ext3 and ext4 have one magic number, and only a journal makes the entry durable with the file. */
static bool is_journaled_ext(dev_t device)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096], wanted[32];
	bool found = false;

	snprintf(wanted, sizeof(wanted), " %u:%u ", major(device), minor(device));
	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, wanted) && (strstr(line, " - ext4 ") || strstr(line, " - ext3 "));
	if (f)
		fclose(f);
	return found;
}

/*
 * ext4 and xfs log a file's creation with its entry, and fsync of the file forces the log up to there; btrfs
 * logs the names of a new inode with it. In memory nothing lasts. For others the directory is synchronised
 * too.
 */
static bool needs_directory_sync(int root)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(root, &fs) < 0 || fstat(root, &st) < 0)
		return true;
	switch (fs.f_type) {
	case EXT4_SUPER_MAGIC:
		return !is_journaled_ext(st.st_dev);
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case TMPFS_MAGIC:
		return false;
	default:
		return true;
	}
}

/* maildrop is never hashed: the users' postdrop may not make subdirectories there that pickup could clean. */
static int queue_depth(const struct spool_options *o, enum spool_queue q)
{
	int depth = o->hash_queue_depth;

	if (q == QUEUE_MAILDROP || q == QUEUE_CORRUPT || depth < 1 ||
		!str_lists(o->hash_queue_names, names[q]))
		return 0;
	return depth > SPOOL_DEPTH_MAX ? SPOOL_DEPTH_MAX : depth;
}

static struct spool *spool_new(const struct spool_options *o)
{
	struct spool *s = x_alloc(sizeof(*s));

	s->root = -1;
	s->long_ids = o->long_ids;
	s->owner = o->owner;
	s->group = o->group;
	s->stale_before_us = o->stale_before_us;
	spool_slots_begin(s);
	for (int q = 0; q < QUEUE_COUNT; q++) {
		s->dirs[q] = -1;
		s->depth[q] = queue_depth(o, (enum spool_queue)q);
	}
	return s;
}

struct spool *spool_open(const struct spool_options *options, struct err *err)
{
	struct spool *s = spool_new(options);
	const int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;

	s->root = open(options->queue_directory, flags);
	if (s->root < 0)
		err_errno(err, "open queue directory %s", options->queue_directory);
	for (int q = 0; s->root >= 0 && q < QUEUE_COUNT; q++) {
		s->dirs[q] = openat(s->root, names[q], flags | O_NOFOLLOW);
		if (s->dirs[q] < 0) {
			err_errno(err, "open queue directory %s/%s", options->queue_directory, names[q]);
			sys_close(&s->root);
		}
	}
	if (s->root < 0) {
		spool_close(&s);
		return NULL;
	}
	s->sync_directory = needs_directory_sync(s->root);
	spool_shared_open(s);
	if (!s->shared &&
		(geteuid() == 0 ||
			geteuid() == s->owner)) { /* its mail could be in slots that we would not find */
		err_errno(err, "map the queue's shared table in %s", options->queue_directory);
		spool_close(&s);
	}
	return s;
}

int64_t spool_since(const struct spool *s)
{
	return s->stale_before_us;
}

void spool_close(struct spool **s)
{
	if (!*s)
		return;
	for (int q = 0; q < QUEUE_COUNT; q++)
		sys_close(&(*s)->dirs[q]);
	sys_close(&(*s)->root);
	spool_slots_end(*s);
	spool_shared_close(*s);
	x_free(s);
}

/* An existing directory keeps what the administrator gave it only where that is harmless: owner and mode are
 * set to ours. */
static bool make_directory(int root, enum spool_queue q, const struct spool_options *o, struct err *err)
{
	const mode_t mode = q == QUEUE_MAILDROP ? 01730 : 0700;
	gid_t group = q == QUEUE_MAILDROP ? o->drop_group : o->group;
	int fd;
	bool ok;

	if (mkdirat(root, names[q], mode) < 0 && errno != EEXIST)
		return err_errno(err, "create queue directory %s", names[q]);
	fd = openat(root, names[q], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	ok = fd >= 0 && (geteuid() != 0 || fchown(fd, o->owner, group) == 0) && fchmod(fd, mode) == 0;
	if (!ok)
		err_errno(err, "queue directory %s", names[q]);
	sys_close(&fd);
	return ok;
}

bool spool_make_directories(const struct spool_options *options, struct err *err)
{
	int root;
	bool ok = true;

	if (!sys_mkdirs(options->queue_directory, 0755, err))
		return false;
	root = open(options->queue_directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_errno(err, "open queue directory %s", options->queue_directory);
	for (int q = 0; ok && q < QUEUE_COUNT; q++)
		ok = make_directory(root, (enum spool_queue)q, options, err);
	ok = ok && spool_shared_make(root, options->owner, options->group, err);
	sys_close(&root);
	return ok;
}

int64_t spool_free_bytes(const struct spool *s)
{
	struct statvfs v;

	if (fstatvfs(s->root, &v) < 0)
		return -1;
	return (int64_t)v.f_bavail * (int64_t)v.f_frsize;
}
