/* What the files of the spool share. Nothing outside this folder includes it. INTERNALS.md has the layout. */
#ifndef SPOOL_SPOOL_PRIVATE_H
#define SPOOL_SPOOL_PRIVATE_H

#include "base/buf.h"
#include "base/cursor.h"
#include "spool/spool.h"
#include <stdatomic.h>
#include <sys/stat.h>

#define SPOOL_HEADER_SIZE 128u
#define SPOOL_MEMORY_MAX (128u << 10)  /* content up to this is kept in memory and written at once */
#define SPOOL_ENVELOPE_MAX (64u << 20) /* bytes of envelope, and of updates, that are read */
#define SPOOL_RECORD_MAX SPOOL_ENVELOPE_MAX
#define SPOOL_RECORDS_MIN                                                                                    \
	(64u << 10) /* records are gathered at least up to this, and four times the envelope */
#define SPOOL_SLOTS 4096
#define SPOOL_SLOT_MAX (64u << 10) /* bytes of a message, envelope included, that goes into a slot */
#define SPOOL_SLOTS_LARGE 512	   /* the first ones, which keep what room they got */
#define SPOOL_SLOT_HOMES 4096
#define SPOOL_SLOTS_KEPT 256 /* the first ones, whose descriptors a process keeps when it has used them */
#define SPOOL_DEPTH_MAX 8
#define SPOOL_PATH_MAX (2 * SPOOL_DEPTH_MAX + QUEUE_ID_MAX + 8)

enum {
	SPOOL_ONE_WRITE = 1
}; /* header.flags: the whole file was written by one call, so its parts may have reached the disk in any
      order */

/* What the processes share through one small mapped file. */
struct spool_shared {
	_Atomic uint64_t last; /* number of the newest id */
	char boot[40];	       /* boot_id at the last recovery: another boot may follow a loss of power */
	_Atomic uint64_t slots[SPOOL_SLOTS];	  /* which message is in which slot, see spool_slot.c */
	_Atomic uint16_t homes[SPOOL_SLOT_HOMES]; /* by a hash of the id: where to look first in slots */
	_Atomic uint16_t first_free; /* where to look first for a free one: below it are few or none */
};

struct spool {
	int root;		/* the queue directory */
	int dirs[QUEUE_COUNT];	/* O_PATH */
	int depth[QUEUE_COUNT]; /* levels of subdirectories */
	bool long_ids;
	bool sync_directory; /* fsync of a new file does not persist its name on this file system */
	uid_t owner;
	gid_t group;
	int64_t stale_before_us;
	struct spool_shared *shared;	    /* NULL: not ours to use */
	_Atomic int kept[SPOOL_SLOTS_KEPT]; /* unlocked, whoever takes one out owns it; -1: none */
	char boot[40];			    /* boot_id of the running system; "" when unknown */
};

struct spool_header {
	uint32_t flags;
	uint64_t arrival_us;
	uint64_t content_offset, content_size;
	uint64_t envelope_offset, envelope_size;
	uint32_t content_crc, envelope_crc;
};

enum spool_record_type { RECORD_STATUS = 1, RECORD_SCHEDULE = 2, RECORD_ENVELOPE = 3, RECORD_FLAGS = 4 };

/* ---- spool_format.c: bytes on disk */
uint32_t spool_seed(const struct queue_id
		*id); /* every checksum starts from the id, so bytes of another message never match */
void spool_put_u8(struct buf *b, uint8_t v);
void spool_put_u16(struct buf *b, uint16_t v);
void spool_put_u32(struct buf *b, uint32_t v);
void spool_put_u64(struct buf *b, uint64_t v);
void spool_put_text(struct buf *b, const char *text); /* NULL is kept apart from "" */
void spool_put_dsn(struct buf *b, const struct dsn *d);
bool spool_get_text(struct cursor *c, struct pool *pool, const char **out);
bool spool_get_dsn(struct cursor *c, struct pool *pool, const struct dsn **out);
void spool_header_encode(
	const struct spool_header *h, const struct queue_id *id, unsigned char out[SPOOL_HEADER_SIZE]);
enum spool_status spool_header_decode(const unsigned char in[SPOOL_HEADER_SIZE], const struct queue_id *id,
	struct spool_header *h, struct err *err);
/* The id that a header names; false: none that is valid. */
bool spool_header_id(const unsigned char in[SPOOL_HEADER_SIZE], struct queue_id *id);
size_t spool_record_begin(struct buf *b, enum spool_record_type type);
void spool_record_end(struct buf *b, const struct queue_id *id, size_t mark);
/* What follows the last record: without it old bytes of the file could be taken for one. It is
 * overwritten by the next record. */
void spool_records_end(struct buf *b);
/* True when the bytes begin with the end mark. */
bool spool_records_ended(const struct cursor *c);
/* Takes the next record off; false: no whole one is left (end, or a torn tail). */
bool spool_record_next(struct cursor *c, const struct queue_id *id, uint16_t *type, struct cursor *payload);

/* ---- spool_envelope.c */
void spool_envelope_encode(const struct envelope *e, struct buf *out);
bool spool_envelope_decode(struct cursor in, struct pool *pool, struct envelope *e, struct err *err);
/* Applies update records; *valid: bytes up to the torn tail. */
bool spool_updates_apply(
	struct cursor in, struct pool *pool, struct envelope *e, size_t *valid, struct err *err);
void spool_schedule_encode(const struct envelope *e, struct buf *out);

/* ---- spool_dir.c */
/* The path below the queue's directory; false: not a queue id. */
bool spool_path(
	const struct spool *s, enum spool_queue q, const struct queue_id *id, char out[SPOOL_PATH_MAX]);
bool spool_make_parents(const struct spool *s, enum spool_queue q, const char *path);
/* Never replaces an existing file. */
bool spool_rename(int from, const char *old, int to, const char *new);
/* Makes a directory entry durable where the file's own fsync does not. */
bool spool_sync_entry(const struct spool *s, enum spool_queue q, const char *path, int fd);

bool spool_sync_directory(
	const struct spool *s, enum spool_queue q, const char *path); /* the one the path is in; always */

/* ---- spool_compact.c */
/* Writes the locked file anew without what its records made obsolete. The new one, locked, where records go
 * on at *end; or -1: the old one is as it was. */
int spool_compact(struct spool *s, enum spool_queue q, const struct queue_id *id, int fd, uint64_t *end,
	struct err *err);

/* ---- spool_sequence.c */
void spool_shared_open(struct spool *s);
void spool_shared_close(struct spool *s);
bool spool_shared_make(int root, uid_t owner, gid_t group, struct err *err);
uint64_t spool_sequence_next(const struct spool *s);

/* ---- spool_slot.c: messages of incoming in files that are written again and again */
enum spool_slot_state { SLOT_FREE, SLOT_BUSY, SLOT_MESSAGE, SLOT_DAMAGED };
/* Descriptors come locked (shared: the message stays as it is) and go with it; -1: not in a slot, as
 * far as the table knows (open) or at all (search). */
int spool_slot_open(struct spool *s, const struct queue_id *id, int flags, int *slot, struct stat *st);
int spool_slot_search(struct spool *s, const struct queue_id *id, int flags, int *slot, struct stat *st);
int spool_slot_claim(struct spool *s, int *slot); /* a free one, locked for writing; -1: none */
bool spool_slot_commit(
	struct spool *s, int slot, int fd, const struct queue_id *id, struct str file); /* false: errno */
/* The lock goes; the descriptor may be kept for the next time. */
void spool_slot_release(struct spool *s, int slot, int *fd);
void spool_slots_begin(struct spool *s);
void spool_slots_end(struct spool *s);
bool spool_slot_remove(struct spool *s, const struct queue_id *id, bool search); /* false: not in a slot */
bool spool_slot_move(
	struct spool *s, const struct queue_id *id, enum spool_queue to, const char *path); /* false: errno */
int spool_slots_each(struct spool *s, bool (*found)(void *arg, const struct queue_id *id), void *arg);
enum spool_slot_state spool_slot_recover(struct spool *s, int slot, struct queue_id *id);
bool spool_slot_set_aside(struct spool *s, int slot, const struct queue_id *id); /* to corrupt */

/* ---- spool_scan.c */
/* As spool_scan, and tells the directory the name is in, which may be another level than spool_path
 * says. */
typedef bool (*spool_entry_fn)(void *arg, enum spool_queue q, const struct queue_id *id, int dirfd);
bool spool_scan_entries(
	struct spool *s, enum spool_queue q, spool_entry_fn found, void *arg, struct err *err);

/* ---- spool_read.c */
/* Opens a message after checking that it is a regular file of ours with one name. */
enum spool_status spool_open_message(struct spool *s, enum spool_queue q, const struct queue_id *id,
	int flags, int *fd, struct stat *st, struct err *err);
/* Reads and checks the header against the file's size. */
enum spool_status spool_read_header(
	int fd, uint64_t file_size, const struct queue_id *id, struct spool_header *h, struct err *err);
uint64_t spool_updates_offset(const struct spool_header *h);
/* SPOOL_OK, SPOOL_UNFINISHED, SPOOL_CORRUPT or SPOOL_TROUBLE for an open file. */
enum spool_status spool_load_open(int fd, const struct stat *st, const struct queue_id *id, struct pool *pool,
	struct envelope **out, struct err *err);

#endif
