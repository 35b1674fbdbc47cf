/*
 * The queue on disk. One file per message is its whole truth: content, envelope, and what happened to each
 * recipient. INTERNALS.md states every legal state of a file and what recovery does. Everything that touches
 * the queue goes through this interface.
 *
 * A struct spool may be used by several threads at once; a writer or an open message by one at a time.
 */
#ifndef SPOOL_SPOOL_H
#define SPOOL_SPOOL_H

#include "base/err.h"
#include "base/mem.h"
#include "mail/dsn.h"
#include "mail/queue_id.h"
#include <stdint.h>
#include <sys/types.h>

enum spool_queue {
	QUEUE_MAILDROP,
	QUEUE_INCOMING,
	QUEUE_ACTIVE,
	QUEUE_DEFERRED,
	QUEUE_HOLD,
	QUEUE_CORRUPT,
	QUEUE_COUNT
};
const char *spool_queue_name(enum spool_queue q);

enum recipient_state {
	RECIPIENT_PENDING,
	RECIPIENT_DONE,	 /* sent, or its report is on stable storage */
	RECIPIENT_FAILED /* permanent failure not yet reported to the sender */
};

struct spool_recipient {
	const char *address;  /* internal form, after rewriting */
	const char *original; /* internal form as given by the client; NULL: same */
	const char *orcpt;    /* RFC 3461 ORCPT "rfc822;user@example" decoded, or NULL */
	int notify;	      /* NOTIFY_ bits */
	enum recipient_state state;
	const struct dsn *last; /* last outcome, or NULL */
};

struct spool_attribute {
	const char *name, *value;
};

enum {				 /* envelope.flags */
	ENVELOPE_8BIT = 1,	 /* content has bytes >= 0x80 */
	ENVELOPE_SMTPUTF8 = 2,	 /* SMTPUTF8 was requested */
	ENVELOPE_DOTS = 4,	 /* some line of the content begins with a dot */
	ENVELOPE_LONG_LINES = 8, /* some line is longer than 998 bytes */
	ENVELOPE_INTERNAL = 16,	 /* made by the mail system (report, notice) */
	ENVELOPE_LOCAL = 32,	 /* came through sendmail(1) */
	ENVELOPE_EXPIRED = 64,	 /* to be returned to the sender at the next attempt (postsuper -e) */
	ENVELOPE_REQUEUED =
		128, /* in maildrop: was in the queue before and goes through cleanup again (postsuper -r) */
	ENVELOPE_PROBE = 256, /* finds out about its recipients: never delivered, deferred or returned */
	ENVELOPE_REPORT = 512 /* the sender gets a report of the first attempt, whatever comes of it */
};

/* Attribute names follow XFORWARD and the queue file names operators know: client_name, client_address,
 * client_port, helo_name, protocol_name, reverse_client_name, sasl_method, sasl_username, sasl_sender,
 * log_ident, rewrite_context, content_filter, body ("7BIT", "8BITMIME"), message_id, ... */
struct envelope {
	struct queue_id id;
	int64_t arrival_us;
	const char *sender; /* internal form; "" is the null sender */
	const char *envid;  /* RFC 3461, decoded; or NULL */
	enum dsn_ret ret;
	int flags;
	struct spool_attribute *attributes;
	size_t attribute_count;
	struct spool_recipient *recipients;
	size_t recipient_count;
	uint64_t content_size; /* bytes with CRLF */
	/* the schedule, kept by the queue manager */
	int64_t next_attempt_us; /* 0: at once */
	uint32_t attempts;
	int64_t warned_us; /* delay warning sent; 0: not */
};

/* NULL: absent */
const char *spool_attribute_value(const struct spool_attribute *list, size_t count, const char *name);
const char *envelope_attribute(const struct envelope *e, const char *name);

struct spool;
struct spool_options {
	const char *queue_directory;
	const char *hash_queue_names; /* as the parameters */
	int hash_queue_depth;
	bool long_ids;
	uid_t owner; /* whose files are read, (uid_t)-1: anybody's; new files are given to this user when we
			are root */
	gid_t group;
	gid_t drop_group; /* setgid_group, the group of maildrop: used by spool_make_directories alone */
	int64_t stale_before_us; /* unfinished files older than this are leftovers (start of this instance);
				    0: of any age */
};

struct spool *spool_open(const struct spool_options *options,
	struct err *err); /* keeps directory descriptors: works after chroot */
void spool_close(struct spool **s);
int64_t spool_since(const struct spool *s); /* stale_before_us: when this instance began */
/* Makes the directories with owner and modes (root, or all as ourselves); postern start and check call it. */
bool spool_make_directories(const struct spool_options *options, struct err *err);

/* ---- writing a message. Nothing is visible to others before commit. */
struct spool_writer;
struct spool_writer *spool_create(struct spool *s, enum spool_queue q,
	struct err *err); /* id is fixed now, the file is made when needed */
const struct queue_id *spool_writer_id(const struct spool_writer *w);
/* When it was made, microseconds: the arrival, unless the envelope has another. */
int64_t spool_writer_time(const struct spool_writer *w);
bool spool_content(struct spool_writer *w,
	struct str data); /* appended; any split; wire form without dot-stuffing. Sticky failure. */
uint64_t spool_content_size(const struct spool_writer *w);
/* Up to n bytes of the content so far, from offset on: 0 at its end, -1 with errno. */
ssize_t spool_written(const struct spool_writer *w, uint64_t offset, void *out, size_t n);
/*
 * The content begins anew: what spool_content() adds from now on takes the place of all that was added
 * before, which spool_former() still reads. Once for each writer. false: errno.
 */
bool spool_restart(struct spool_writer *w);
ssize_t spool_former(const struct spool_writer *w, uint64_t offset, void *out, size_t n);
/* The message will be in q instead of the queue it was made for. */
bool spool_writer_move(struct spool_writer *w, enum spool_queue q, struct err *err);
/* Writes envelope and content and forces them to stable storage: true, the message is safe and may be
 * acknowledged. Frees the writer either way. The envelope's id and content_size are set by the call, and its
 * arrival where it is 0.
 */
bool spool_commit(struct spool_writer **w, struct envelope *e, struct err *err);
void spool_abort(struct spool_writer **w); /* removes what was written */

/* ---- reading */
enum spool_status { SPOOL_OK, SPOOL_GONE, SPOOL_UNFINISHED, SPOOL_CORRUPT, SPOOL_TROUBLE };
/* The envelope, in the pool. Verifies checksums of header and envelope records. */
enum spool_status spool_load(struct spool *s, enum spool_queue q, const struct queue_id *id,
	struct pool *pool, struct envelope **out, struct err *err);
struct spool_reader;
enum spool_status spool_open_content(struct spool *s, enum spool_queue q, const struct queue_id *id,
	struct spool_reader **out, struct err *err);
/* Next piece (at most 64 kB); n == 0: end. Verifies the content checksum at the end: SPOOL_CORRUPT. The slice
 * lives until the next call. */
enum spool_status spool_read_content(struct spool_reader *r, struct str *piece, struct err *err);
bool spool_rewind(struct spool_reader *r);
void spool_reader_free(struct spool_reader **r);
/* The same for a file by its descriptor, whatever its name (postcat); it must be a regular file. The reader
 * takes the descriptor over. */
enum spool_status spool_load_file(int fd, struct pool *pool, struct envelope **out, struct err *err);
enum spool_status spool_open_file_content(int fd, struct spool_reader **out, struct err *err);
uint64_t spool_reader_offset(const struct spool_reader *r); /* where in the file the content begins */

/* ---- changing: mostly the queue manager's; records of several processes follow each other */
struct spool_update {
	uint32_t index; /* recipient */
	enum recipient_state state;
	const struct dsn *dsn;
};
bool spool_record(struct spool *s, enum spool_queue q, const struct queue_id *id,
	const struct spool_update *updates, size_t count, bool durable, struct err *err);
bool spool_schedule(struct spool *s, enum spool_queue q, const struct queue_id *id, int64_t next_attempt_us,
	uint32_t attempts, int64_t warned_us, struct err *err);
bool spool_move(struct spool *s, enum spool_queue from, enum spool_queue to, const struct queue_id *id,
	struct err *err);
bool spool_remove(struct spool *s, enum spool_queue q, const struct queue_id *id,
	struct err *err); /* gone already: true */
/* The same; there: whether it was still there. */
bool spool_take_away(
	struct spool *s, enum spool_queue q, const struct queue_id *id, bool *there, struct err *err);

/* Sets flags (ENVELOPE_EXPIRED, ENVELOPE_REQUEUED) for good; durable. */
bool spool_flag(struct spool *s, enum spool_queue q, const struct queue_id *id, int flags, struct err *err);

/* ---- walking. Calls found() for each name that is a queue id; stops when it returns false. */
typedef bool (*spool_found_fn)(void *arg, enum spool_queue q, const struct queue_id *id);
bool spool_scan(struct spool *s, enum spool_queue q, spool_found_fn found, void *arg, struct err *err);
bool spool_find(struct spool *s, const struct queue_id *id, enum spool_queue *out);
/* Removes leftovers (unfinished files from before stale_before_us), moves damaged files to corrupt; counts
 * are reported. */
struct spool_recovery {
	size_t messages, leftovers, damaged;
	size_t misplaced; /* were at another level of subdirectories than hash_queue_depth says; moved */
};
bool spool_recover(struct spool *s, struct spool_recovery *result, struct err *err);
bool spool_recover_queue(struct spool *s, enum spool_queue q, struct spool_recovery *result,
	struct err *err);			 /* adds to result */
int64_t spool_free_bytes(const struct spool *s); /* for queue_minfree; -1: unknown */

#endif
