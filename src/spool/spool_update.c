/*
 * Changes to a message are records appended to its file, with an end mark behind them that the next ones
 * overwrite. A crash leaves whole records, or a torn one, which ends the list and is overwritten too. The
 * last record about a fact counts.
 */
#include "base/sys.h"
#include "spool/spool_private.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define FIRST_WALK (4u << 10)
#define LOCK_ATTEMPTS 10

struct target {
	struct spool *spool;
	enum spool_queue queue;
	const struct queue_id *id;
	int fd;
	uint64_t end; /* where the next record goes */
	uint64_t size;
	uint64_t limit; /* from there on the records have outgrown the message */
};

/* Walks the records in the first n bytes after the message. 1: found their end; 0: they may go on; -1:
 * failure. */
static int walk(struct target *t, uint64_t from, size_t n, struct err *err)
{
	char *bytes = x_alloc(n + 1);
	struct cursor c = cursor_of(bytes, n), payload;
	uint16_t type;
	int result;

	if (sys_pread_all(t->fd, bytes, n, (off_t)from) != (ssize_t)n) {
		x_free(&bytes);
		err_errno(err, "read queue file %s", t->id->text);
		return -1;
	}
	while (spool_record_next(&c, t->id, &type, &payload))
		;
	t->end = from + n - c.left;
	result = spool_records_ended(&c);
	x_free(&bytes);
	return result;
}

static bool find_end(struct target *t, const struct spool_header *h, struct err *err)
{
	uint64_t from = spool_updates_offset(h);
	uint64_t n = t->size - from;
	int found = walk(t, from, (size_t)(n < FIRST_WALK ? n : FIRST_WALK), err);

	if (found != 0 || n <= FIRST_WALK)
		return found >= 0;
	if (n > SPOOL_ENVELOPE_MAX)
		return err_set(err, "queue file %s: too many records", t->id->text);
	return walk(t, from, (size_t)n, err) >= 0;
}

/* One process at a time adds records; the others wait for its descriptor to close. 0: the file was written
 * anew meanwhile, and has another. */
static int lock_records(struct target *t, struct err *err)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct stat st;

	if (fcntl(t->fd, F_OFD_SETLKW, &whole) < 0 || fstat(t->fd, &st) < 0) {
		err_errno(err, "lock queue file %s", t->id->text);
		return -1;
	}
	t->size = (uint64_t)st.st_size;
	return st.st_nlink > 0;
}

static bool open_locked(struct target *t, struct err *err)
{
	struct stat st;
	int locked = 0;

	for (int i = 0; i < LOCK_ATTEMPTS && locked == 0; i++) {
		sys_close(&t->fd);
		if (spool_open_message(t->spool, t->queue, t->id, O_RDWR, &t->fd, &st, err) != SPOOL_OK)
			return false;
		locked = lock_records(t, err);
	}
	return locked == 1 || (locked == 0 && err_set(err, "queue file %s does not stay", t->id->text));
}

static bool target_open(struct target *t, struct err *err)
{
	struct spool_header h;

	if (!open_locked(t, err) || spool_read_header(t->fd, t->size, t->id, &h, err) != SPOOL_OK ||
		!find_end(t, &h, err))
		return false;
	t->limit = spool_updates_offset(&h) + SPOOL_RECORDS_MIN + 4 * h.envelope_size;
	return true;
}

/* Slots are left as they are: what stays there is not tried for long. Failure to write anew is no harm, the
 * records go on. */
static void shorten(struct target *t)
{
	uint64_t end;
	int fd;

	if (t->end < t->limit || (t->queue != QUEUE_DEFERRED && t->queue != QUEUE_HOLD))
		return;
	fd = spool_compact(t->spool, t->queue, t->id, t->fd, &end, NULL);
	if (fd < 0)
		return;
	sys_close(&t->fd);
	t->fd = fd;
	t->end = end;
}

static bool append(struct target *t, struct buf *records, bool durable)
{
	spool_records_end(records);
	return sys_pwrite_all(t->fd, records->data, records->len, (off_t)t->end) &&
	       (!durable || fdatasync(t->fd) == 0);
}

static bool append_to(struct spool *s, enum spool_queue q, const struct queue_id *id, struct buf *records,
	bool durable, struct err *err)
{
	struct target t = {.spool = s, .queue = q, .id = id, .fd = -1};
	bool ok;

	if (records->over)
		ok = err_set(err, "queue file %s: records too large", id->text);
	else
		ok = target_open(&t, err);
	if (ok) {
		shorten(&t);
		ok = append(&t, records, durable) || err_errno(err, "write queue file %s", id->text);
	}
	sys_close(&t.fd);
	buf_free(records);
	return ok;
}

bool spool_record(struct spool *s, enum spool_queue q, const struct queue_id *id,
	const struct spool_update *updates, size_t count, bool durable, struct err *err)
{
	struct buf records = BUF(SPOOL_RECORD_MAX);

	for (size_t i = 0; i < count; i++) {
		size_t mark = spool_record_begin(&records, RECORD_STATUS);

		spool_put_u32(&records, updates[i].index);
		spool_put_u8(&records, (uint8_t)updates[i].state);
		spool_put_dsn(&records, updates[i].dsn);
		spool_record_end(&records, id, mark);
	}
	return count == 0 || append_to(s, q, id, &records, durable, err);
}

bool spool_schedule(struct spool *s, enum spool_queue q, const struct queue_id *id, int64_t next_attempt_us,
	uint32_t attempts, int64_t warned_us, struct err *err)
{
	struct envelope e = {
		.id = *id, .next_attempt_us = next_attempt_us, .attempts = attempts, .warned_us = warned_us};
	struct buf records = BUF(256);

	spool_schedule_encode(&e, &records);
	return append_to(s, q, id, &records, false, err);
}

bool spool_flag(struct spool *s, enum spool_queue q, const struct queue_id *id, int flags, struct err *err)
{
	struct buf records = BUF(256);
	size_t mark = spool_record_begin(&records, RECORD_FLAGS);

	spool_put_u32(&records, (uint32_t)flags);
	spool_record_end(&records, id, mark);
	return append_to(s, q, id, &records, true, err);
}

/* The message is in one of the two queues after any crash: one rename. It need not be forced out, either
 * place is right. */
static bool move(struct spool *s, enum spool_queue from, const char *old, enum spool_queue to,
	const char *new, const struct queue_id *id)
{
	if (spool_rename(s->dirs[from], old, s->dirs[to], new))
		return true;
	return from == QUEUE_INCOMING && errno == ENOENT && spool_slot_move(s, id, to, new);
}

bool spool_move(struct spool *s, enum spool_queue from, enum spool_queue to, const struct queue_id *id,
	struct err *err)
{
	char old[SPOOL_PATH_MAX], new[SPOOL_PATH_MAX];

	if (!spool_path(s, from, id, old) || !spool_path(s, to, id, new))
		return err_set(err, "bad queue id");
	if (from == to || move(s, from, old, to, new, id))
		return true;
	if (errno == ENOENT && spool_make_parents(s, to, new) && move(s, from, old, to, new, id))
		return true;
	return err_errno(
		err, "move %s from %s to %s", id->text, spool_queue_name(from), spool_queue_name(to));
}

bool spool_take_away(
	struct spool *s, enum spool_queue q, const struct queue_id *id, bool *there, struct err *err)
{
	char path[SPOOL_PATH_MAX];

	*there = true;
	if (!spool_path(s, q, id, path))
		return err_set(err, "bad queue id");
	if (q == QUEUE_INCOMING && spool_slot_remove(s, id, false))
		return true;
	if (unlinkat(s->dirs[q], path, 0) == 0)
		return true;
	if (errno != ENOENT)
		return err_errno(err, "remove %s/%s", spool_queue_name(q), id->text);
	*there = q == QUEUE_INCOMING && spool_slot_remove(s, id, true);
	return true;
}

bool spool_remove(struct spool *s, enum spool_queue q, const struct queue_id *id, struct err *err)
{
	bool there;

	return spool_take_away(s, q, id, &there, err);
}
