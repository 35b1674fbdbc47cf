#include "base/sys.h"
#include "spool/spool_private.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define FIRST_READ (16u << 10) /* most messages are read whole by the first call */
#define PIECE (64u << 10)
#define OPEN_ATTEMPTS 10

static enum spool_status check_file(const struct spool *s, enum spool_queue q, const struct stat *st,
	const struct queue_id *id, struct err *err)
{
	if (st->st_nlink == 0)
		return SPOOL_GONE;
	if (!S_ISREG(st->st_mode))
		err_set(err, "%s/%s: not a regular file", spool_queue_name(q), id->text);
	else if (st->st_nlink > 1)
		err_set(err, "%s/%s: the file has another name", spool_queue_name(q), id->text);
	else if (q != QUEUE_MAILDROP && s->owner != (uid_t)-1 && st->st_uid != s->owner)
		err_set(err, "%s/%s: the file belongs to user %u", spool_queue_name(q), id->text, st->st_uid);
	else
		return SPOOL_OK;
	return SPOOL_CORRUPT;
}

static enum spool_status open_failed(enum spool_queue q, const struct queue_id *id, struct err *err)
{
	int why = errno;

	err_errno(err, "open %s/%s", spool_queue_name(q), id->text);
	if (why == ENOENT || why == EINVAL)
		return SPOOL_GONE;
	return why == ELOOP || why == ENXIO || why == EISDIR ? SPOOL_CORRUPT : SPOOL_TROUBLE;
}

/* A file without a name was written anew (spool_compact) after it was opened: the name leads to the new one.
 */
static int open_named(
	struct spool *s, enum spool_queue q, const struct queue_id *id, int flags, struct stat *st)
{
	char path[SPOOL_PATH_MAX];
	int fd = -1, attempts = 0;

	if (!spool_path(s, q, id, path))
		return -1;
	do {
		sys_close(&fd);
		fd = openat(s->dirs[q], path, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fd >= 0 && fstat(fd, st) < 0)
			sys_close(&fd);
	} while (fd >= 0 && st->st_nlink == 0 && ++attempts < OPEN_ATTEMPTS);
	return fd;
}

enum spool_status spool_open_message(struct spool *s, enum spool_queue q, const struct queue_id *id,
	int flags, int *fd, struct stat *st, struct err *err)
{
	enum spool_status status;
	int slot;

	*fd = q == QUEUE_INCOMING ? spool_slot_open(s, id, flags, &slot, st) : -1;
	if (*fd < 0)
		*fd = open_named(s, q, id, flags, st);
	if (*fd < 0 && q == QUEUE_INCOMING && errno == ENOENT) {
		*fd = spool_slot_search(s, id, flags, &slot, st);
		errno = ENOENT;
	}
	if (*fd < 0)
		return open_failed(q, id, err);
	status = check_file(s, q, st, id, err);
	if (status != SPOOL_OK)
		sys_close(fd);
	return status;
}

uint64_t spool_updates_offset(const struct spool_header *h)
{
	uint64_t content_end = h->content_offset + h->content_size;
	uint64_t envelope_end = h->envelope_offset + h->envelope_size;

	return content_end > envelope_end ? content_end : envelope_end;
}

/* A file that is shorter than its header says is being written by one call, or its writer died in it, or it
 * lost its end. */
static enum spool_status parse_header(struct str first, uint64_t file_size, const struct queue_id *id,
	struct spool_header *h, struct err *err)
{
	enum spool_status status;

	if (first.n < SPOOL_HEADER_SIZE) {
		err_set(err, "unfinished");
		return SPOOL_UNFINISHED;
	}
	status = spool_header_decode((const unsigned char *)first.p, id, h, err);
	if (status != SPOOL_OK || file_size >= spool_updates_offset(h))
		return status;
	err_set(err, "the file is shorter than its header says");
	return h->flags & SPOOL_ONE_WRITE ? SPOOL_UNFINISHED : SPOOL_CORRUPT;
}

enum spool_status spool_read_header(
	int fd, uint64_t file_size, const struct queue_id *id, struct spool_header *h, struct err *err)
{
	unsigned char bytes[SPOOL_HEADER_SIZE];
	ssize_t n = sys_pread_all(fd, bytes, sizeof(bytes), 0);

	if (n < 0) {
		err_errno(err, "read queue file %s", id->text);
		return SPOOL_TROUBLE;
	}
	return parse_header((struct str){(char *)bytes, (size_t)n}, file_size, id, h, err);
}

static enum spool_status decode_envelope(struct cursor blob, const struct spool_header *h, struct pool *pool,
	struct envelope *e, struct err *err)
{
	if (crc32c(spool_seed(&e->id), blob.p, blob.left) != h->envelope_crc) {
		err_set(err, "envelope checksum does not match");
		return SPOOL_CORRUPT;
	}
	return spool_envelope_decode(blob, pool, e, err) ? SPOOL_OK : SPOOL_CORRUPT;
}

/*
 * bytes: the file from `base`, which is at or before envelope and updates. *whole: the records were seen to
 * their end, or the file was; else there may be more of them behind the bytes.
 */
static enum spool_status decode_tail(struct str bytes, uint64_t base, const struct spool_header *h,
	struct pool *pool, struct envelope *e, bool *whole, struct err *err)
{
	struct cursor blob = cursor_of(bytes.p + (h->envelope_offset - base), h->envelope_size);
	struct cursor updates = cursor_of(bytes.p, bytes.n);
	size_t valid;
	enum spool_status status = decode_envelope(blob, h, pool, e, err);

	if (status != SPOOL_OK)
		return status;
	cursor_skip(&updates, spool_updates_offset(h) - base);
	if (!spool_updates_apply(updates, pool, e, &valid, err))
		return SPOOL_CORRUPT;
	cursor_skip(&updates, valid);
	*whole = spool_records_ended(&updates);
	return SPOOL_OK;
}

/* What follows the content (or precedes it) is fetched on its own. */
static enum spool_status load_rest(int fd, uint64_t size, const struct spool_header *h, struct pool *pool,
	struct envelope *e, struct err *err)
{
	uint64_t base = spool_updates_offset(h);
	enum spool_status status = SPOOL_TROUBLE;
	bool whole;
	char *bytes;
	ssize_t n;

	if (h->envelope_offset < base)
		base = h->envelope_offset;
	if (size - base > 2 * (uint64_t)SPOOL_ENVELOPE_MAX) {
		err_set(err, "envelope too large");
		return SPOOL_CORRUPT;
	}
	bytes = x_alloc((size_t)(size - base) + 1);
	n = sys_pread_all(fd, bytes, (size_t)(size - base), (off_t)base);
	if (n < 0)
		err_errno(err, "read queue file %s", e->id.text);
	else if (base + (uint64_t)n < spool_updates_offset(h))
		err_set(err, "read queue file %s: it shrank", e->id.text);
	else
		status = decode_tail((struct str){bytes, (size_t)n}, base, h, pool, e, &whole, err);
	x_free(&bytes);
	return status;
}

enum spool_status spool_load_open(int fd, const struct stat *st, const struct queue_id *id, struct pool *pool,
	struct envelope **out, struct err *err)
{
	char first[FIRST_READ];
	struct spool_header h = {0};
	struct envelope *e = pool_alloc(pool, sizeof(*e));
	size_t wanted = st->st_size < (off_t)sizeof(first) ? (size_t)st->st_size : sizeof(first);
	ssize_t n = sys_pread_all(fd, first, wanted, 0);
	enum spool_status status;
	bool whole = false;

	if (n < 0) {
		err_errno(err, "read queue file %s", id->text);
		return SPOOL_TROUBLE;
	}
	status = parse_header((struct str){first, (size_t)n}, (uint64_t)st->st_size, id, &h, err);
	if (status != SPOOL_OK)
		return status;
	e->id = *id;
	e->arrival_us = (int64_t)h.arrival_us;
	e->content_size = h.content_size;
	if ((uint64_t)n >= spool_updates_offset(&h))
		status = decode_tail((struct str){first, (size_t)n}, 0, &h, pool, e, &whole, err);
	if (status == SPOOL_OK && !whole &&
		(n == (ssize_t)sizeof(first) || (uint64_t)n < spool_updates_offset(&h)))
		status = load_rest(fd, (uint64_t)st->st_size, &h, pool, e, err);
	if (status == SPOOL_OK)
		*out = e;
	return status;
}

enum spool_status spool_load(struct spool *s, enum spool_queue q, const struct queue_id *id,
	struct pool *pool, struct envelope **out, struct err *err)
{
	enum spool_status status;
	struct stat st;
	int fd;

	*out = NULL;
	status = spool_open_message(s, q, id, O_RDONLY, &fd, &st, err);
	if (status != SPOOL_OK)
		return status;
	status = spool_load_open(fd, &st, id, pool, out, err);
	sys_close(&fd);
	return status;
}

/* ---- content */
struct spool_reader {
	int fd;
	struct spool_header header;
	uint64_t position; /* in the content */
	uint32_t crc;
	uint32_t seed;
	size_t room;
	char piece[]; /* room bytes: the whole content, or a piece of it */
};

/* Takes fd over. */
static enum spool_status reader_new(
	int fd, const struct stat *st, const struct queue_id *id, struct spool_reader **out, struct err *err)
{
	struct spool_header h = {0};
	enum spool_status status = spool_read_header(fd, (uint64_t)st->st_size, id, &h, err);
	size_t room = h.content_size < PIECE ? (size_t)h.content_size : PIECE;
	struct spool_reader *r;

	if (status != SPOOL_OK) {
		sys_close(&fd);
		return status;
	}
	r = x_realloc(NULL, sizeof(*r) + room);
	*r = (struct spool_reader){
		.fd = fd, .header = h, .room = room, .seed = spool_seed(id), .crc = spool_seed(id)};
	*out = r;
	return SPOOL_OK;
}

enum spool_status spool_open_content(struct spool *s, enum spool_queue q, const struct queue_id *id,
	struct spool_reader **out, struct err *err)
{
	enum spool_status status;
	struct stat st;
	int fd;

	*out = NULL;
	status = spool_open_message(s, q, id, O_RDONLY, &fd, &st, err);
	return status == SPOOL_OK ? reader_new(fd, &st, id, out, err) : status;
}

uint64_t spool_reader_offset(const struct spool_reader *r)
{
	return r->header.content_offset;
}

enum spool_status spool_read_content(struct spool_reader *r, struct str *piece, struct err *err)
{
	uint64_t left = r->header.content_size - r->position;
	size_t wanted = left < r->room ? (size_t)left : r->room;
	ssize_t n = wanted > 0 ? sys_pread_all(r->fd, r->piece, wanted,
					 (off_t)(r->header.content_offset + r->position))
			       : 0;

	*piece = (struct str){r->piece, 0};
	if (n < 0) {
		err_errno(err, "read content");
		return SPOOL_TROUBLE;
	}
	if ((size_t)n < wanted || (wanted == 0 && r->crc != r->header.content_crc)) {
		err_set(err, "content damaged");
		return SPOOL_CORRUPT;
	}
	r->crc = crc32c(r->crc, r->piece, (size_t)n);
	r->position += (uint64_t)n;
	piece->n = (size_t)n;
	return SPOOL_OK;
}

bool spool_rewind(struct spool_reader *r)
{
	r->position = 0;
	r->crc = r->seed;
	return true;
}

void spool_reader_free(struct spool_reader **r)
{
	if (!*r)
		return;
	sys_close(&(*r)->fd);
	x_free(r);
}

/* ---- files by descriptor */
static enum spool_status identify(int fd, struct stat *st, struct queue_id *id, struct err *err)
{
	unsigned char header[SPOOL_HEADER_SIZE];
	ssize_t n = 0;

	if (fstat(fd, st) < 0 ||
		(S_ISREG(st->st_mode) && (n = sys_pread_all(fd, header, sizeof(header), 0)) < 0)) {
		err_errno(err, "read");
		return SPOOL_TROUBLE;
	}
	if (!S_ISREG(st->st_mode)) {
		err_set(err, "not a regular file");
		return SPOOL_CORRUPT;
	}
	if (n == sizeof(header) && spool_header_id(header, id))
		return SPOOL_OK;
	err_set(err, "not a queue file, or not finished");
	return SPOOL_UNFINISHED;
}

enum spool_status spool_load_file(int fd, struct pool *pool, struct envelope **out, struct err *err)
{
	struct queue_id id;
	struct stat st;
	enum spool_status status = identify(fd, &st, &id, err);

	*out = NULL;
	return status == SPOOL_OK ? spool_load_open(fd, &st, &id, pool, out, err) : status;
}

enum spool_status spool_open_file_content(int fd, struct spool_reader **out, struct err *err)
{
	struct queue_id id;
	struct stat st;
	enum spool_status status = identify(fd, &st, &id, err);

	*out = NULL;
	if (status == SPOOL_OK)
		return reader_new(fd, &st, &id, out, err);
	sys_close(&fd);
	return status;
}
