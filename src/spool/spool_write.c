/*
 * A message on its way to disk. Content is collected after room for the header. Up to SPOOL_MEMORY_MAX the
 * whole file is made at commit: created, locked, written by one call, forced out. Beyond that the file is
 * made and filled as content comes, and the header follows when the rest is on stable storage.
 *
 * The lock tells recovery that the file has a writer: what is unfinished and not locked is a leftover.
 */
#include "base/sys.h"
#include "spool/spool_private.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#define CREATE_ATTEMPTS 100
#define FIRST_ROOM (16u << 10) /* bytes: most messages fit */

struct spool_writer {
	struct spool *spool;
	enum spool_queue queue;
	struct queue_id id;
	uint64_t number;
	int fd; /* -1: not made yet */
	char path[SPOOL_PATH_MAX];
	struct buf pending; /* not written yet; begins with room for the header while flushed is 0 */
	uint64_t flushed;   /* bytes of the file written so far */
	uint64_t offset;    /* of content in the file */
	uint64_t size;	    /* of content */
	uint32_t crc;	    /* of content */
	int failed;	    /* errno of the first failure */
	/* The content before spool_restart(): in memory, when nothing of it was flushed, or in the file. */
	struct buf former;
	uint64_t former_offset, former_size;
};

static void take_id(struct spool_writer *w)
{
	w->number = spool_sequence_next(w->spool);
	w->id = queue_id_make(w->number, w->spool->long_ids);
	w->crc = spool_seed(&w->id);
}

const struct queue_id *spool_writer_id(const struct spool_writer *w)
{
	return &w->id;
}

int64_t spool_writer_time(const struct spool_writer *w)
{
	return (int64_t)w->number;
}

uint64_t spool_content_size(const struct spool_writer *w)
{
	return w->size;
}

static void writer_free(struct spool_writer **w)
{
	buf_free(&(*w)->pending);
	buf_free(&(*w)->former);
	sys_close(&(*w)->fd);
	x_free(w);
}

static int create_exclusively(struct spool_writer *w)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int dir = w->spool->dirs[w->queue];
	mode_t mode = w->queue == QUEUE_MAILDROP ? 0644 : 0600;
	int fd = openat(dir, w->path, flags, mode);

	if (fd < 0 && errno == ENOENT && spool_make_parents(w->spool, w->queue, w->path))
		fd = openat(dir, w->path, flags, mode);
	return fd;
}

/* pickup is neither the owner nor in the group of what a user drops, and looks at it at any time; the
 * directory keeps others out. */
static bool set_access(const struct spool_writer *w)
{
	if (w->queue == QUEUE_MAILDROP && fchmod(w->fd, 0644) < 0)
		return false;
	return geteuid() != 0 || fchown(w->fd, w->spool->owner, w->spool->group) == 0;
}

/* 1: the file is ours; 0: recovery was faster than our lock and removed it; -1: failure. */
static int make_file(struct spool_writer *w)
{
	struct stat st;

	w->fd = create_exclusively(w);
	if (w->fd < 0)
		return -1;
	if (flock(w->fd, LOCK_EX | LOCK_NB) == 0 && fstat(w->fd, &st) == 0 && st.st_nlink == 1)
		return set_access(w) ? 1 : -1;
	sys_close(&w->fd);
	return 0;
}

static bool open_file(struct spool_writer *w)
{
	int made = 0;

	if (!spool_path(w->spool, w->queue, &w->id, w->path))
		return false;
	for (int i = 0; i < CREATE_ATTEMPTS && made == 0; i++)
		made = make_file(w);
	return made == 1;
}

/* Without the sequence only the exclusive creation of the file makes an id ours. */
static bool claim_id(struct spool_writer *w)
{
	int made = 0;

	for (int i = 0; i < CREATE_ATTEMPTS && made <= 0; i++) {
		take_id(w);
		made = spool_path(w->spool, w->queue, &w->id, w->path) ? make_file(w) : -1;
		if (made < 0 && errno != EEXIST)
			return false;
	}
	return made == 1;
}

struct spool_writer *spool_create(struct spool *s, enum spool_queue q, struct err *err)
{
	struct spool_writer *w = x_alloc(sizeof(*w));

	w->spool = s;
	w->queue = q;
	w->fd = -1;
	w->offset = SPOOL_HEADER_SIZE;
	buf_init(&w->pending, SPOOL_HEADER_SIZE + SPOOL_MEMORY_MAX + SPOOL_ENVELOPE_MAX);
	if (s->shared) {
		take_id(w);
	} else if (!claim_id(w)) {
		err_errno(err, "create queue file %s/%s", spool_queue_name(q), w->id.text);
		spool_abort(&w);
	}
	return w;
}

bool spool_writer_move(struct spool_writer *w, enum spool_queue q, struct err *err)
{
	char path[SPOOL_PATH_MAX];
	int from = w->spool->dirs[w->queue], to = w->spool->dirs[q];

	if (w->fd < 0 || w->queue == q) {
		w->queue = q;
		return true;
	}
	if (!spool_path(w->spool, q, &w->id, path))
		return err_errno(err, "queue file name %s", w->id.text);
	if (renameat(from, w->path, to, path) != 0 &&
		!(errno == ENOENT && spool_make_parents(w->spool, q, path) &&
			renameat(from, w->path, to, path) == 0))
		return err_errno(err, "move queue file %s to %s", w->id.text, spool_queue_name(q));
	memcpy(w->path, path, sizeof(path));
	w->queue = q;
	return true;
}

static void reserve_header(struct spool_writer *w)
{
	static const char room[SPOOL_HEADER_SIZE];

	if (w->flushed != 0 || w->pending.len != 0)
		return;
	buf_reserve(&w->pending, FIRST_ROOM);
	buf_add(&w->pending, room, sizeof(room));
}

static bool flush(struct spool_writer *w)
{
	if (w->fd < 0 && !open_file(w))
		return false;
	if (!sys_pwrite_all(w->fd, w->pending.data, w->pending.len, (off_t)w->flushed))
		return false;
	w->flushed += w->pending.len;
	buf_clear(&w->pending);
	return true;
}

bool spool_content(struct spool_writer *w, struct str data)
{
	if (w->failed)
		return false;
	w->crc = crc32c(w->crc, data.p, data.n);
	w->size += data.n;
	while (data.n > 0) {
		size_t n;

		reserve_header(w);
		n = SPOOL_HEADER_SIZE + SPOOL_MEMORY_MAX - w->pending.len;
		n = n < data.n ? n : data.n;
		buf_add(&w->pending, data.p, n);
		data = str_from(data, n);
		if (w->pending.len >= SPOOL_HEADER_SIZE + SPOOL_MEMORY_MAX && !flush(w)) {
			w->failed = errno;
			return false;
		}
	}
	return true;
}

static size_t at_most(size_t n, uint64_t limit)
{
	return n < limit ? n : (size_t)limit;
}

ssize_t spool_written(const struct spool_writer *w, uint64_t offset, void *out, size_t n)
{
	uint64_t at = w->offset + offset;

	if (offset >= w->size)
		return 0;
	if (at < w->flushed)
		return pread(w->fd, out, at_most(n, w->flushed - at), (off_t)at);
	n = at_most(n, w->size - offset);
	memcpy(out, w->pending.data + (at - w->flushed), n);
	return (ssize_t)n;
}

bool spool_restart(struct spool_writer *w)
{
	if (w->flushed == 0) {
		w->former = w->pending;
		buf_init(&w->pending, w->former.max);
	} else if (!flush(w)) {
		w->failed = errno;
		return false;
	}
	w->former_offset = w->offset;
	w->former_size = w->size;
	w->offset = w->flushed ? w->flushed : SPOOL_HEADER_SIZE;
	w->size = 0;
	w->crc = spool_seed(&w->id);
	return true;
}

ssize_t spool_former(const struct spool_writer *w, uint64_t offset, void *out, size_t n)
{
	if (offset >= w->former_size)
		return 0;
	n = at_most(n, w->former_size - offset);
	if (!w->former.data)
		return pread(w->fd, out, n, (off_t)(w->former_offset + offset));
	memcpy(out, w->former.data + w->former_offset + offset, n);
	return (ssize_t)n;
}

static bool fill_header(
	struct spool_writer *w, const struct envelope *e, struct spool_header *h, struct err *err)
{
	size_t before;

	reserve_header(w);
	before = w->pending.len;
	h->arrival_us = (uint64_t)e->arrival_us;
	h->content_offset = w->offset;
	h->content_size = w->size;
	h->content_crc = w->crc;
	h->envelope_offset = w->offset + w->size;
	spool_envelope_encode(e, &w->pending);
	if (w->pending.over)
		return err_set(err, "envelope too large");
	h->envelope_size = w->pending.len - before;
	h->envelope_crc = crc32c(spool_seed(&w->id), w->pending.data + before, h->envelope_size);
	if (e->next_attempt_us || e->attempts || e->warned_us)
		spool_schedule_encode(e, &w->pending);
	spool_records_end(&w->pending);
	return true;
}

/* 1: done; 0: no slot for it; -1: failure. */
static int write_to_slot(struct spool_writer *w)
{
	int slot, fd;
	bool ok;

	if (w->queue != QUEUE_INCOMING || w->pending.len > SPOOL_SLOT_MAX)
		return 0;
	fd = spool_slot_claim(w->spool, &slot);
	if (fd < 0)
		return 0;
	ok = spool_slot_commit(w->spool, slot, fd, &w->id, buf_slice(&w->pending));
	if (ok)
		spool_slot_release(w->spool, slot, &fd);
	sys_close(&fd);
	return ok ? 1 : -1;
}

static bool write_at_once(struct spool_writer *w, struct spool_header *h)
{
	int done;

	h->flags = SPOOL_ONE_WRITE;
	spool_header_encode(h, &w->id, (unsigned char *)w->pending.data);
	done = write_to_slot(w);
	if (done != 0)
		return done > 0;
	return flush(w) && fdatasync(w->fd) == 0 && spool_sync_entry(w->spool, w->queue, w->path, w->fd);
}

/* The header makes the file a message: it comes when everything else is safe. */
static bool write_rest(struct spool_writer *w, struct spool_header *h)
{
	unsigned char bytes[SPOOL_HEADER_SIZE];

	spool_header_encode(h, &w->id, bytes);
	return flush(w) && fdatasync(w->fd) == 0 && sys_pwrite_all(w->fd, bytes, sizeof(bytes), 0) &&
	       fdatasync(w->fd) == 0 && spool_sync_entry(w->spool, w->queue, w->path, w->fd);
}

static bool commit(struct spool_writer *w, struct envelope *e, struct err *err)
{
	struct spool_header h = {0};

	e->id = w->id;
	if (e->arrival_us == 0)
		e->arrival_us = spool_writer_time(w);
	e->content_size = w->size;
	errno = w->failed;
	if (w->failed)
		return err_errno(err, "write queue file %s", w->id.text);
	if (!fill_header(w, e, &h, err))
		return false;
	if (!(w->flushed == 0 ? write_at_once(w, &h) : write_rest(w, &h)))
		return err_errno(err, "write queue file %s", w->id.text);
	return true;
}

bool spool_commit(struct spool_writer **w, struct envelope *e, struct err *err)
{
	if (!commit(*w, e, err)) {
		spool_abort(w);
		return false;
	}
	writer_free(w);
	return true;
}

void spool_abort(struct spool_writer **w)
{
	if (!*w)
		return;
	if ((*w)->fd >= 0)
		unlinkat((*w)->spool->dirs[(*w)->queue], (*w)->path, 0);
	writer_free(w);
}
