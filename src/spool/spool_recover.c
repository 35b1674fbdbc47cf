/* Puts the queue right after a crash, file by file; INTERNALS.md says why each decision is safe. May run
 * while mail arrives. */
#include "base/clock.h"
#include "base/sys.h"
#include "spool/spool_private.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

struct recovery {
	struct spool *spool;
	struct spool_recovery *result;
	bool new_boot; /* power may have been lost since the last recovery */
};

/* The number of hash levels was changed: the file goes where it is looked for now. */
static bool put_in_place(struct recovery *r, enum spool_queue q, const struct queue_id *id, int dirfd)
{
	const struct spool *s = r->spool;
	char path[SPOOL_PATH_MAX];
	struct stat here, there;

	if (!spool_path(s, q, id, path) || fstatat(dirfd, id->text, &here, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	if (fstatat(s->dirs[q], path, &there, AT_SYMLINK_NOFOLLOW) == 0)
		return here.st_ino == there.st_ino;
	if (!spool_make_parents(s, q, path) || !spool_rename(dirfd, id->text, s->dirs[q], path))
		return false;
	r->result->misplaced++;
	return true;
}

/* What cannot be read now, or is gone meanwhile, is not damaged. */
static bool is_damage(enum spool_status status)
{
	return status == SPOOL_CORRUPT || status == SPOOL_UNFINISHED;
}

static bool envelope_reads_well(struct spool *s, enum spool_queue q, const struct queue_id *id)
{
	struct pool *pool = pool_new(4096);
	struct envelope *e;
	enum spool_status status = spool_load(s, q, id, pool, &e, NULL);

	pool_free(&pool);
	return !is_damage(status);
}

static bool content_reads_well(struct spool *s, enum spool_queue q, const struct queue_id *id)
{
	struct spool_reader *r;
	struct str piece = {"", 1};
	enum spool_status status = spool_open_content(s, q, id, &r, NULL);

	while (status == SPOOL_OK && piece.n > 0)
		status = spool_read_content(r, &piece, NULL);
	spool_reader_free(&r);
	return !is_damage(status);
}

static bool reads_well(struct spool *s, enum spool_queue q, const struct queue_id *id)
{
	return envelope_reads_well(s, q, id) && content_reads_well(s, q, id);
}

static void set_aside(struct recovery *r, enum spool_queue q, const struct queue_id *id)
{
	if (q != QUEUE_CORRUPT && spool_move(r->spool, q, QUEUE_CORRUPT, id, NULL))
		r->result->damaged++;
}

static bool is_stale(const struct spool *s, const struct stat *st)
{
	int64_t changed = (int64_t)st->st_mtim.tv_sec * US_PER_SEC + st->st_mtim.tv_nsec / 1000;

	return s->stale_before_us == 0 || changed < s->stale_before_us;
}

/* Nobody holds the lock and it is ours now: its writer is gone, and one that comes to lock it later will see
 * that the file has no name. */
static void judge_unfinished(
	struct recovery *r, enum spool_queue q, const struct queue_id *id, int fd, const struct stat *st)
{
	struct spool_header h = {0};
	struct stat now;
	enum spool_status status;

	if (!is_stale(r->spool, st) || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &now) < 0 ||
		now.st_nlink == 0)
		return;
	status = spool_read_header(fd, (uint64_t)now.st_size, id, &h, NULL);
	if (status == SPOOL_OK)
		r->result->messages++;
	else if (status == SPOOL_CORRUPT || h.content_offset != 0)
		set_aside(r, q, id);
	else if (status == SPOOL_UNFINISHED && spool_remove(r->spool, q, id, NULL))
		r->result->leftovers++;
}

/* The parts of a file written at once may have reached the disk without the others. Mail in deferred was read
 * before it got there. */
static bool may_be_torn(const struct recovery *r, enum spool_queue q, const struct spool_header *h)
{
	return r->new_boot && (h->flags & SPOOL_ONE_WRITE) && q != QUEUE_DEFERRED;
}

static void judge(
	struct recovery *r, enum spool_queue q, const struct queue_id *id, int fd, const struct stat *st)
{
	struct spool_header h = {0};
	enum spool_status status = spool_read_header(fd, (uint64_t)st->st_size, id, &h, NULL);

	if (status == SPOOL_UNFINISHED)
		judge_unfinished(r, q, id, fd, st);
	else if (status == SPOOL_CORRUPT ||
		 (status == SPOOL_OK && may_be_torn(r, q, &h) && !reads_well(r->spool, q, id)))
		set_aside(r, q, id);
	else
		r->result->messages++;
}

/* A file that was being written anew: the message itself is where it was. Alone it is a message, looked at
 * where it goes. */
static void recover_active(struct recovery *r, const struct queue_id *id)
{
	enum spool_queue q;

	if (!spool_find(r->spool, id, &q) || q == QUEUE_ACTIVE)
		spool_move(r->spool, QUEUE_ACTIVE, QUEUE_INCOMING, id, NULL);
	else if (spool_remove(r->spool, QUEUE_ACTIVE, id, NULL))
		r->result->leftovers++;
}

static bool recover_entry(void *arg, enum spool_queue q, const struct queue_id *id, int dirfd)
{
	struct recovery *r = arg;
	enum spool_status status;
	struct stat st;
	int fd;

	if (!put_in_place(r, q, id, dirfd))
		return true;
	if (q == QUEUE_ACTIVE) {
		recover_active(r, id);
		return true;
	}
	status = spool_open_message(r->spool, q, id, O_RDONLY, &fd, &st, NULL);
	if (status == SPOOL_OK)
		judge(r, q, id, fd, &st);
	else if (status == SPOOL_CORRUPT)
		set_aside(r, q, id);
	sys_close(&fd);
	return true;
}

/* A slot is rewritten in place, so the message in it may be torn after any crash: its content is always read.
 */
static void recover_slot(struct recovery *r, int slot)
{
	struct queue_id id;
	enum spool_slot_state state = spool_slot_recover(r->spool, slot, &id);

	if (state == SLOT_MESSAGE && reads_well(r->spool, QUEUE_INCOMING, &id))
		r->result->messages++;
	else if ((state == SLOT_MESSAGE || state == SLOT_DAMAGED) &&
		 spool_slot_set_aside(r->spool, slot, &id))
		r->result->damaged++;
}

static bool boot_changed(const struct spool *s)
{
	return !s->shared || s->boot[0] == '\0' || memcmp(s->boot, s->shared->boot, sizeof(s->boot)) != 0;
}

static bool recover_queue(struct recovery *r, enum spool_queue q, struct err *err)
{
	for (int slot = 0; q == QUEUE_INCOMING && r->spool->shared && slot < SPOOL_SLOTS; slot++)
		recover_slot(r, slot);
	return spool_scan_entries(r->spool, q, recover_entry, r, err);
}

bool spool_recover_queue(struct spool *s, enum spool_queue q, struct spool_recovery *result, struct err *err)
{
	struct recovery r = {s, result, boot_changed(s)};

	return recover_queue(&r, q, err);
}

bool spool_recover(struct spool *s, struct spool_recovery *result, struct err *err)
{
	static const enum spool_queue order[] = {
		QUEUE_ACTIVE, QUEUE_MAILDROP, QUEUE_INCOMING, QUEUE_HOLD, QUEUE_DEFERRED};
	struct recovery r = {s, result, boot_changed(s)};

	memset(result, 0, sizeof(*result));
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (!recover_queue(&r, order[i], err))
			return false;
	if (s->shared)
		memcpy(s->shared->boot, s->boot, sizeof(s->boot));
	return true;
}
