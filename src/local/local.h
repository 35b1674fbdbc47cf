/* The local delivery agent: final delivery to Maildir or mailbox file with the rights of the recipient. */
#ifndef LOCAL_LOCAL_H
#define LOCAL_LOCAL_H

#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"
#include "ipc/delivery.h"
#include <sys/types.h>

enum { LOCK_FCNTL = 1, LOCK_FLOCK = 2, LOCK_DOTLOCK = 4 };

/* What of the configuration was taken apart once. */
struct local_settings {
	const struct config *cfg;
	int locks;	       /* LOCK_ bits of mailbox_delivery_lock */
	bool delivered_header; /* prepend_delivered_header has "file" */
	char host[64];	       /* for Maildir file names, without '/' and ':' */
};

bool local_settings_make(struct local_settings *out, const struct config *cfg, struct err *err);

struct local_user {
	const char *name, *home;
	uid_t uid;
	gid_t gid;
};

enum local_lookup { LOCAL_USER_FOUND, LOCAL_USER_UNKNOWN, LOCAL_USER_TROUBLE };
enum local_lookup local_user_find(
	struct pool *pool, const char *name, struct local_user *out, struct err *err);

/* Whether a Delivered-To: header of the message names the address (internal form). */
enum spool_status local_content_delivered_to(
	struct spool_reader *reader, const char *address, bool *found, struct err *err);

/* One delivery to one mailbox. */
struct local_job {
	const struct local_settings *settings;
	struct pool *pool;
	struct spool_reader *reader; /* at the start of the content */
	const char *sender;	     /* internal forms */
	const char *recipient, *original;
	const char *queue_id;
	const struct local_user *user;
	bool corrupt; /* out: the queue file is damaged; the outcome does not count */
};

/* Return-Path:, X-Original-To: and Delivered-To:, with line ends LF. */
void local_headers(const struct local_job *job, struct buf *out);
/* "From sender  date" of a mailbox file, with LF. */
void local_from_line(const struct local_job *job, int64_t now_us, struct buf *out);

enum local_step { LOCAL_COPIED, LOCAL_WRITE_FAILED, LOCAL_READ_FAILED };
/*
 * Writes head and content to fd with line ends LF; in a mailbox file "From " lines are quoted and an empty
 * line is added. room: bytes that may be written, -1: no limit (EFBIG past it). LOCAL_WRITE_FAILED: errno
 * says why. LOCAL_READ_FAILED: err does.
 */
enum local_step local_copy(
	struct local_job *job, struct str head, int fd, bool mailbox, int64_t room, struct err *err);

/* The delivery methods; path ends in '/' for a Maildir. `shared`: the path lies in a directory that is not
 * the user's. */
const struct dsn *local_maildir(struct local_job *job, const char *path, bool shared);
const struct dsn *local_mailbox(struct local_job *job, const char *path, bool shared);
/* What a system call's error means for the mail: EDQUOT is 4.2.2, EFBIG 5.2.2, ... */
const struct dsn *local_failure(struct pool *pool, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* An exclusive lock on a mailbox file (locks: LOCK_ bits); the dotlock is made with root's rights in a shared
 * directory. */
struct local_lock {
	int locks;
	int fd;
	char *dotlock; /* NULL: none held */
};
bool local_lock_dot(struct local_lock *lock, const struct config *cfg,
	const char *path); /* false: errno; EAGAIN: held by others */
bool local_lock_file(struct local_lock *lock, const struct config *cfg, int fd);
void local_unlock(struct local_lock *lock);

/* One recipient of a request: found out, delivered. */
const struct dsn *local_deliver(struct local_job *job);

#endif
