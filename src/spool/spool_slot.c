/*
 * Slots: files of incoming that are written again and again in place, because a file that exists and keeps
 * its size costs a fraction of a new one: no directory entry, no inode, no blocks, no journal
 * (docs/decisions/spool-slots.md has the numbers). Named "slot.000" and so on; the header says whose message
 * is inside, all zero means none.
 *
 * The lock of the file decides: it is rewritten or freed under the exclusive lock, and read under the shared
 * one, after a look at the header. The table in shared memory only says where to look first; it may be wrong
 * in any way, and is put right by whoever notices.
 */
#include "base/sys.h"
#include "spool/spool_private.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#define FREE UINT64_C(0)
#define BUSY UINT64_C(1) /* a writer is trying it */
#define SLOT_NAME_MAX 20

static const unsigned char no_header[SPOOL_HEADER_SIZE];

/* The number with its form, as the text must come out again. */
static uint64_t entry_of(const struct queue_id *id)
{
	return queue_id_number(id) << 1 | (strchr(id->text, 'z') != NULL);
}

_Static_assert(SPOOL_SLOTS <= 10000, "names have four digits at most");

/* "slot.000", "slot.4095"; asked for several times for each message. */
static void slot_name(int slot, char out[SLOT_NAME_MAX])
{
	char *digit = out + (slot < 1000 ? 8 : 9);

	memcpy(out, "slot.0000", 10);
	*digit = '\0';
	for (; slot > 0; slot /= 10)
		*--digit = (char)('0' + slot % 10);
}

/* ---- the table in shared memory */
static _Atomic uint16_t *home_of(struct spool *s, uint64_t entry)
{
	return &s->shared->homes[entry * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (SPOOL_SLOT_HOMES - 1)];
}

static void table_set(struct spool *s, int slot, uint64_t entry)
{
	atomic_store_explicit(home_of(s, entry), (uint16_t)slot, memory_order_relaxed);
	atomic_store_explicit(&s->shared->slots[slot], entry, memory_order_release);
}

static void note_free(struct spool *s, int slot)
{
	if (slot < atomic_load_explicit(&s->shared->first_free, memory_order_relaxed))
		atomic_store_explicit(&s->shared->first_free, (uint16_t)slot, memory_order_relaxed);
}

static void table_set_free(struct spool *s, int slot)
{
	atomic_store_explicit(&s->shared->slots[slot], FREE, memory_order_release);
	note_free(s, slot);
}

static void table_clear(struct spool *s, int slot, uint64_t entry)
{
	if (atomic_compare_exchange_strong(&s->shared->slots[slot], &entry, FREE))
		note_free(s, slot);
}

static bool table_says(const struct spool *s, int slot, uint64_t entry)
{
	return atomic_load_explicit(&s->shared->slots[slot], memory_order_acquire) == entry;
}

static int table_lookup(struct spool *s, const struct queue_id *id)
{
	uint64_t wanted = entry_of(id);
	int home = atomic_load_explicit(home_of(s, wanted), memory_order_relaxed) % SPOOL_SLOTS;

	if (table_says(s, home, wanted))
		return home;
	for (int slot = 0; slot < SPOOL_SLOTS; slot++)
		if (table_says(s, slot, wanted))
			return slot;
	return -1;
}

/* ---- files */

/* The id in the header; false: none, or not readable. */
static bool slot_id(int fd, struct queue_id *id)
{
	unsigned char header[SPOOL_HEADER_SIZE];
	struct spool_header h;

	if (sys_pread_all(fd, header, sizeof(header), 0) != sizeof(header))
		return false;
	return spool_header_id(header, id) && spool_header_decode(header, id, &h, NULL) == SPOOL_OK;
}

static bool holds(int fd, const struct queue_id *id)
{
	struct queue_id inside;

	return slot_id(fd, &inside) && strcmp(inside.text, id->text) == 0;
}

static bool lock(int fd, int how, struct stat *st)
{
	return flock(fd, how) == 0 && fstat(fd, st) == 0 && S_ISREG(st->st_mode) && st->st_nlink == 1;
}

static int open_locked(struct spool *s, int slot, int flags, int how, struct stat *st)
{
	char name[SLOT_NAME_MAX];
	int fd;

	slot_name(slot, name);
	fd = openat(s->dirs[QUEUE_INCOMING], name, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	if (fd >= 0 && !lock(fd, how, st))
		sys_close(&fd);
	return fd;
}

/*
 * Opening costs more than all questions about what is open. A kept descriptor may be of a file that is no
 * slot any more: that one has lost its last name, or it is moved away and still has its message's header,
 * because only slots are emptied. The caller looks.
 */
static int take_kept(struct spool *s, int slot, int how, struct stat *st)
{
	int fd = slot < SPOOL_SLOTS_KEPT ? atomic_exchange(&s->kept[slot], -1) : -1;

	if (fd >= 0 && !lock(fd, how, st))
		sys_close(&fd);
	return fd;
}

void spool_slot_release(struct spool *s, int slot, int *fd)
{
	int before = -1;

	if (*fd >= 0 && slot < SPOOL_SLOTS_KEPT && flock(*fd, LOCK_UN) == 0) {
		before = atomic_exchange(&s->kept[slot], *fd);
		*fd = -1;
	}
	sys_close(&before);
	sys_close(fd);
}

void spool_slots_begin(struct spool *s)
{
	for (int slot = 0; slot < SPOOL_SLOTS_KEPT; slot++)
		atomic_init(&s->kept[slot], -1);
}

void spool_slots_end(struct spool *s)
{
	for (int slot = 0; slot < SPOOL_SLOTS_KEPT; slot++) {
		int fd = atomic_exchange(&s->kept[slot], -1);

		sys_close(&fd);
	}
}

/* With the exclusive lock held, or that of lock_name, the answer stays true. */
static bool is_named(const struct spool *s, int slot, const struct stat *here)
{
	char name[SLOT_NAME_MAX];
	struct stat there;

	slot_name(slot, name);
	return fstatat(s->dirs[QUEUE_INCOMING], name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       here->st_ino == there.st_ino && here->st_dev == there.st_dev;
}

/* Several may hold the shared lock; only one of them at a time changes the name. */
static bool lock_name(const struct spool *s, int slot, int fd, const struct stat *st)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_SETLKW, &whole) == 0 && is_named(s, slot, st);
}

static int open_holding(
	struct spool *s, int slot, const struct queue_id *id, int flags, int how, struct stat *st)
{
	int fd = open_locked(s, slot, flags, how, st);

	if (fd >= 0 && !holds(fd, id))
		sys_close(&fd);
	return fd;
}

int spool_slot_open(struct spool *s, const struct queue_id *id, int flags, int *slot, struct stat *st)
{
	int fd;

	*slot = s->shared && entry_of(id) > BUSY ? table_lookup(s, id) : -1;
	if (*slot < 0)
		return -1;
	fd = open_holding(s, *slot, id, flags, LOCK_SH, st);
	if (fd < 0)
		table_clear(s, *slot, entry_of(id));
	return fd;
}

int spool_slot_search(struct spool *s, const struct queue_id *id, int flags, int *slot, struct stat *st)
{
	if (!s->shared || entry_of(id) <= BUSY)
		return -1;
	for (*slot = 0; *slot < SPOOL_SLOTS; ++*slot) {
		int fd = open_holding(s, *slot, id, flags, LOCK_SH | LOCK_NB, st);

		if (fd >= 0) {
			table_set(s, *slot, entry_of(id));
			return fd;
		}
	}
	return -1;
}

static int open_anyhow(struct spool *s, const struct queue_id *id, int flags, int *slot, struct stat *st)
{
	int fd = spool_slot_open(s, id, flags, slot, st);

	return fd >= 0 ? fd : spool_slot_search(s, id, flags, slot, st);
}

/* ---- writing */
static bool give_to_owner(const struct spool *s, int fd, const struct stat *st)
{
	return st->st_uid == s->owner || geteuid() != 0 || fchown(fd, s->owner, s->group) == 0;
}

/* Free is what says so by an empty header, and nothing else: a damaged file is recovery's. */
static bool is_free(int fd)
{
	unsigned char header[SPOOL_HEADER_SIZE] = {0};

	return sys_pread_all(fd, header, sizeof(header), 0) >= 0 &&
	       memcmp(header, no_header, sizeof(header)) == 0;
}

/* -1: none that is free; if there is a message in the slot, the table says so from now on. */
static int open_free(struct spool *s, int slot, struct stat *st)
{
	struct queue_id id;
	int fd = take_kept(s, slot, LOCK_EX | LOCK_NB, st);

	if (fd >= 0 && is_free(fd))
		return fd;
	sys_close(&fd);
	fd = open_locked(s, slot, O_RDWR, LOCK_EX | LOCK_NB, st);
	if (fd < 0 && errno == ENOENT)
		fd = open_locked(s, slot, O_RDWR | O_CREAT, LOCK_EX | LOCK_NB, st);
	if (fd < 0 || is_free(fd))
		return fd;
	if (slot_id(fd, &id))
		table_set(s, slot, entry_of(&id));
	sys_close(&fd);
	return -1;
}

static int claim(struct spool *s, int slot)
{
	uint64_t expected = FREE;
	struct stat st;
	int fd;

	if (atomic_load_explicit(&s->shared->slots[slot], memory_order_relaxed) != FREE ||
		!atomic_compare_exchange_strong(&s->shared->slots[slot], &expected, BUSY))
		return -1;
	fd = open_free(s, slot, &st);
	if (fd >= 0 && give_to_owner(s, fd, &st))
		return fd;
	table_clear(s, slot, BUSY);
	sys_close(&fd);
	return -1;
}

int spool_slot_claim(struct spool *s, int *slot)
{
	int first = s->shared ? atomic_load_explicit(&s->shared->first_free, memory_order_relaxed) : 0;

	for (int i = 0; s->shared && i < SPOOL_SLOTS; i++) {
		int fd;

		*slot = (first + i) % SPOOL_SLOTS;
		fd = claim(s, *slot);
		if (fd >= 0) {
			atomic_store_explicit(
				&s->shared->first_free, (uint16_t)(*slot + 1), memory_order_relaxed);
			return fd;
		}
	}
	return -1;
}

static bool unlink_slot(struct spool *s, int slot)
{
	char name[SLOT_NAME_MAX];

	slot_name(slot, name);
	return unlinkat(s->dirs[QUEUE_INCOMING], name, 0) == 0;
}

bool spool_slot_commit(struct spool *s, int slot, int fd, const struct queue_id *id, struct str file)
{
	char name[SLOT_NAME_MAX];
	bool ok;

	slot_name(slot, name);
	ok = sys_pwrite_all(fd, file.p, file.n, 0) && fdatasync(fd) == 0 &&
	     spool_sync_entry(s, QUEUE_INCOMING, name, fd);
	if (ok) {
		table_set(s, slot, entry_of(id));
	} else {
		int why = errno;

		unlink_slot(s, slot); /* what the disk has of it is not known */
		table_set_free(s, slot);
		errno = why;
	}
	return ok;
}

/* ---- removing and moving */
/* A file that grew far beyond a slot's size is not worth keeping, nor are thousands of large ones. */
static off_t size_kept(int slot)
{
	return slot < SPOOL_SLOTS_LARGE ? 2 * SPOOL_SLOT_MAX : SPOOL_SLOT_MAX / 4;
}

/* With the exclusive lock. */
static bool empty_slot(struct spool *s, int slot, int fd, const struct stat *st)
{
	return (st->st_size <= size_kept(slot) && sys_pwrite_all(fd, no_header, sizeof(no_header), 0)) ||
	       unlink_slot(s, slot);
}

static bool remove_unread(struct spool *s, int slot, const struct queue_id *id)
{
	struct stat st;
	int fd = take_kept(s, slot, LOCK_EX | LOCK_NB, &st);
	bool removed;

	if (fd < 0 || !holds(fd, id)) {
		sys_close(&fd);
		fd = open_holding(s, slot, id, O_RDWR, LOCK_EX | LOCK_NB, &st);
	}
	removed = fd >= 0 && is_named(s, slot, &st) && empty_slot(s, slot, fd, &st);
	if (removed && st.st_size <= size_kept(slot))
		spool_slot_release(s, slot, &fd);
	sys_close(&fd);
	return removed;
}

/* Someone is reading: the file loses its name, and its reader keeps it to the end. */
static bool remove_while_read(struct spool *s, int slot, const struct queue_id *id)
{
	struct stat st;
	int fd = open_holding(s, slot, id, O_RDWR, LOCK_SH, &st);
	bool removed = fd >= 0 && lock_name(s, slot, fd, &st) && unlink_slot(s, slot);

	sys_close(&fd);
	return removed;
}

bool spool_slot_remove(struct spool *s, const struct queue_id *id, bool search)
{
	struct stat st;
	int slot, fd = -1;
	bool removed;

	slot = s->shared && entry_of(id) > BUSY ? table_lookup(s, id) : -1;
	if (slot < 0 && search)
		fd = spool_slot_search(s, id, O_RDONLY, &slot, &st);
	sys_close(&fd);
	if (slot < 0 || slot >= SPOOL_SLOTS)
		return false;
	removed = remove_unread(s, slot, id) || remove_while_read(s, slot, id);
	table_clear(s, slot, entry_of(id));
	return removed;
}

bool spool_slot_move(struct spool *s, const struct queue_id *id, enum spool_queue to, const char *path)
{
	char name[SLOT_NAME_MAX];
	struct stat st;
	int slot;
	int fd = open_anyhow(s, id, O_RDWR, &slot, &st);
	bool ok;

	if (fd < 0 || !lock_name(s, slot, fd, &st)) {
		sys_close(&fd);
		errno = ENOENT;
		return false;
	}
	slot_name(slot, name);
	ok = spool_rename(s->dirs[QUEUE_INCOMING], name, s->dirs[to], path);
	if (ok)
		table_clear(s, slot, entry_of(id));
	sys_close(&fd);
	return ok;
}

int spool_slots_each(struct spool *s, bool (*found)(void *arg, const struct queue_id *id), void *arg)
{
	for (int slot = 0; s->shared && slot < SPOOL_SLOTS; slot++) {
		uint64_t entry = atomic_load_explicit(&s->shared->slots[slot], memory_order_acquire);
		struct queue_id id = queue_id_make(entry >> 1, entry & 1);

		if (entry != FREE && entry != BUSY && !found(arg, &id))
			return 0;
	}
	return 1;
}

/* ---- recovery */
static enum spool_slot_state judge(struct spool *s, int slot, int fd, struct queue_id *id)
{
	unsigned char header[SPOOL_HEADER_SIZE] = {0};
	struct spool_header h;

	if (sys_pread_all(fd, header, sizeof(header), 0) < 0)
		return SLOT_BUSY;
	if (memcmp(header, no_header, sizeof(header)) == 0) {
		table_set_free(s, slot);
		return SLOT_FREE;
	}
	if (!spool_header_id(header, id) || spool_header_decode(header, id, &h, NULL) != SPOOL_OK)
		return SLOT_DAMAGED;
	table_set(s, slot, entry_of(id));
	return SLOT_MESSAGE;
}

static void forget_missing(struct spool *s, int slot)
{
	uint64_t entry = atomic_load(&s->shared->slots[slot]);

	if (entry != BUSY)
		table_clear(s, slot, entry);
}

enum spool_slot_state spool_slot_recover(struct spool *s, int slot, struct queue_id *id)
{
	struct stat st;
	int fd = open_locked(s, slot, O_RDWR, LOCK_EX | LOCK_NB, &st);
	enum spool_slot_state state = SLOT_BUSY;

	*id = (struct queue_id){""};
	if (fd >= 0)
		state = judge(s, slot, fd, id);
	else if (errno == ENOENT)
		forget_missing(s, slot);
	sys_close(&fd);
	return state;
}

/* Under the id it holds, or one that says when. */
bool spool_slot_set_aside(struct spool *s, int slot, const struct queue_id *id)
{
	struct queue_id fresh = queue_id_make(spool_sequence_next(s), s->long_ids), now;
	struct stat st;
	int fd = open_locked(s, slot, O_RDWR, LOCK_EX | LOCK_NB, &st);
	char name[SLOT_NAME_MAX];
	bool ok = fd >= 0 && is_named(s, slot, &st) && slot_id(fd, &now) == (id->text[0] != 0);

	slot_name(slot, name);
	ok = ok && (!id->text[0] || strcmp(now.text, id->text) == 0) &&
	     spool_rename(s->dirs[QUEUE_INCOMING], name, s->dirs[QUEUE_CORRUPT],
		     id->text[0] ? id->text : fresh.text);
	if (ok)
		table_set_free(s, slot);
	sys_close(&fd);
	return ok;
}
