/*
 * A message that is tried for days gathers records, a status for each recipient and attempt. When they
 * outgrow it, the file is written anew, as `active`/ID, and takes the place of the old one. Until then the
 * old one counts, and recovery removes the other.
 */
#include "base/sys.h"
#include "spool/spool_private.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PIECE (64u << 10)

static bool copy_content(int from, int to, const struct spool_header *h)
{
	char *piece = x_alloc(PIECE);
	uint64_t done = 0;
	bool ok = true;

	while (ok && done < h->content_size) {
		uint64_t left = h->content_size - done;
		size_t n = left < PIECE ? (size_t)left : PIECE;

		ok = sys_pread_all(from, piece, n, (off_t)(h->content_offset + done)) == (ssize_t)n &&
		     sys_pwrite_all(to, piece, n, (off_t)(SPOOL_HEADER_SIZE + done));
		done += n;
	}
	x_free(&piece);
	return ok;
}

/* Header, content and envelope of the message as it is now; *end: where records go on. */
static bool write_anew(
	int from, int to, const struct spool_header *old, const struct envelope *e, uint64_t *end)
{
	struct buf tail = BUF(2 * (size_t)SPOOL_ENVELOPE_MAX);
	unsigned char header[SPOOL_HEADER_SIZE];
	struct spool_header h = *old;
	bool ok;

	spool_envelope_encode(e, &tail);
	h.flags &= ~(uint32_t)SPOOL_ONE_WRITE;
	h.content_offset = SPOOL_HEADER_SIZE;
	h.envelope_offset = SPOOL_HEADER_SIZE + h.content_size;
	h.envelope_size = tail.len;
	h.envelope_crc = crc32c(spool_seed(&e->id), tail.data, tail.len);
	spool_schedule_encode(e, &tail);
	*end = h.envelope_offset + tail.len;
	spool_records_end(&tail);
	spool_header_encode(&h, &e->id, header);
	ok = !tail.over && h.envelope_size <= SPOOL_ENVELOPE_MAX && copy_content(from, to, old) &&
	     sys_pwrite_all(to, tail.data, tail.len, (off_t)h.envelope_offset) &&
	     sys_pwrite_all(to, header, sizeof(header), 0) && fdatasync(to) == 0;
	buf_free(&tail);
	return ok;
}

/* Locked before it gets its name, so that nobody else adds to it before us. */
static int make_file(const struct spool *s, const char *path)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int dir = s->dirs[QUEUE_ACTIVE];
	int fd;

	if (!spool_make_parents(s, QUEUE_ACTIVE, path))
		return -1;
	unlinkat(dir, path, 0);
	fd = openat(dir, path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0 && ((geteuid() == 0 && fchown(fd, s->owner, s->group) < 0) ||
			       fcntl(fd, F_OFD_SETLK, &whole) < 0))
		sys_close(&fd);
	return fd;
}

/* The name must be durable: what is recorded durably from now on goes to the new file. */
static bool take_place(const struct spool *s, const char *from, enum spool_queue q, const char *to)
{
	return renameat(s->dirs[QUEUE_ACTIVE], from, s->dirs[q], to) == 0 && spool_sync_directory(s, q, to);
}

int spool_compact(struct spool *s, enum spool_queue q, const struct queue_id *id, int fd, uint64_t *end,
	struct err *err)
{
	char from[SPOOL_PATH_MAX], to[SPOOL_PATH_MAX];
	struct pool *pool = pool_new(1 << 16);
	struct spool_header h;
	struct envelope *e;
	struct stat st;
	int new = -1;
	bool ok = fstat(fd, &st) == 0 && spool_path(s, QUEUE_ACTIVE, id, from) && spool_path(s, q, id, to) &&
		  spool_read_header(fd, (uint64_t)st.st_size, id, &h, err) == SPOOL_OK &&
		  spool_load_open(fd, &st, id, pool, &e, err) == SPOOL_OK && (new = make_file(s, from)) >= 0;

	if (ok && !(write_anew(fd, new, &h, e, end) && take_place(s, from, q, to))) {
		err_errno(err, "write queue file %s anew", id->text);
		unlinkat(s->dirs[QUEUE_ACTIVE], from, 0);
		sys_close(&new);
	}
	pool_free(&pool);
	return new;
}
