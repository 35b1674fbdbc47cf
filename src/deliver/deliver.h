/*
 * Final delivery, as local(8), virtual(8) and pipe(8) do it: to a Maildir, a mailbox file or a command, with
 * the rights of a user and never with root's.
 */
#ifndef DELIVER_DELIVER_H
#define DELIVER_DELIVER_H

#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"
#include "mail/dsn.h"
#include "spool/spool.h"
#include <sys/types.h>

enum { LOCK_FCNTL = 1, LOCK_FLOCK = 2, LOCK_DOTLOCK = 4 };

/* What of the configuration was taken apart once. */
struct deliver_settings {
	const struct config *cfg;
	int locks;	      /* LOCK_ bits */
	long long size_limit; /* bytes of a mailbox file, or of a file in a Maildir; 0: any */
	bool hosted;	      /* virtual(8)'s: what the operator can mend waits */
	char host[64];	      /* for Maildir file names, without '/' and ':' */
};

/* lock_parameter: mailbox_delivery_lock or virtual_mailbox_lock, for messages; locks: its value. */
bool deliver_settings_make(struct deliver_settings *out, const struct config *cfg, const char *lock_parameter,
	const char *locks, long long size_limit, struct err *err);

struct deliver_user {
	const char *name, *home, *shell;
	uid_t uid;
	gid_t gid;
};

enum deliver_lookup { DELIVER_USER_FOUND, DELIVER_USER_UNKNOWN, DELIVER_USER_TROUBLE };
enum deliver_lookup deliver_user_find(
	struct pool *pool, const char *name, struct deliver_user *out, struct err *err);
enum deliver_lookup deliver_user_of(struct pool *pool, uid_t uid, struct deliver_user *out, struct err *err);

/* Whether a Delivered-To: header of the message names the address (internal form). */
enum spool_status deliver_content_delivered_to(
	struct spool_reader *reader, const char *address, bool *found, struct err *err);

/* One delivery to one place. */
struct deliver_job {
	const struct deliver_settings *settings;
	struct pool *pool;
	struct spool_reader *reader; /* at the start of the content */
	const char *sender;	     /* internal forms */
	const char *delivered;	     /* Delivered-To:; NULL: no such header */
	const char *original;	     /* X-Original-To:; NULL: no such header */
	const char *queue_id;
	const struct deliver_user *user;
	bool corrupt; /* out: the queue file is damaged; the outcome does not count */
};

/* Return-Path:, X-Original-To: and Delivered-To:, with line ends LF. */
void deliver_headers(const struct deliver_job *job, struct buf *out);
/* "From sender  date" of a mailbox file, with LF. */
void deliver_from_line(const char *sender, int64_t now_us, struct buf *out);
/* One header with an address; the line stays one line whatever the envelope holds. */
void deliver_address_header(const char *name, const char *address, const char *eol, struct buf *out);

enum deliver_step { DELIVER_COPIED, DELIVER_WRITE_FAILED, DELIVER_READ_FAILED };

/* Where a copy goes. write: false with errno. */
struct deliver_sink {
	bool (*write)(struct deliver_sink *sink, struct str data);
};
struct deliver_form {
	const char *eol;
	bool quote_from; /* '>' before lines that begin with "From " */
	bool quote_dot;	 /* '.' before lines that begin with '.' */
	bool blank_line; /* an empty line at the end */
};
/* Writes head and content. DELIVER_WRITE_FAILED: errno says why. DELIVER_READ_FAILED: err does. */
enum deliver_step deliver_copy(struct deliver_job *job, struct str head, const struct deliver_form *form,
	struct deliver_sink *sink, struct err *err);
/* To a file; in a mailbox file "From " lines are quoted and an empty line is added. room: bytes that may be
 * written, -1: no limit (EFBIG past it). */
enum deliver_step deliver_copy_to_file(
	struct deliver_job *job, struct str head, int fd, bool mailbox, int64_t room, struct err *err);

/* What of the delivery methods the path is for. */
enum deliver_place {
	DELIVER_SHARED, /* a user's mailbox in a directory that is not the user's */
	DELIVER_HOME,	/* ... in the user's own */
	DELIVER_FILE	/* a file named by an alias or the user: devices and pipes are allowed */
};
/* A path that ends in '/' is a Maildir. */
const struct dsn *deliver_to_path(struct deliver_job *job, const char *path, enum deliver_place place);
const struct dsn *deliver_maildir(struct deliver_job *job, const char *path, enum deliver_place place);
const struct dsn *deliver_mailbox(struct deliver_job *job, const char *path, enum deliver_place place);
/* What a system call's error means for the mail: EDQUOT is 4.2.2, EFBIG 5.2.2, ... hosted: what is not about
 * space waits. */
const struct dsn *deliver_failure(struct pool *pool, bool hosted, int error, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* An exclusive lock on a mailbox file (locks: LOCK_ bits); the dotlock is made with root's rights in a shared
 * directory. */
struct deliver_lock {
	int locks;
	int fd;
	char *dotlock; /* NULL: none held */
};
bool deliver_lock_dot(struct deliver_lock *lock, const struct config *cfg,
	const char *path); /* false: errno; EAGAIN: held by others */
bool deliver_lock_file(struct deliver_lock *lock, const struct config *cfg, int fd);
void deliver_unlock(struct deliver_lock *lock);

#endif
