/*
 * An outcome as a value (RFC 3463, RFC 3464): made once where it happens, kept in the queue file, quoted by
 * the report. All strings belong to the pool the value was made in.
 */
#ifndef MAIL_DSN_H
#define MAIL_DSN_H

#include "base/mem.h"
#include "base/str.h"
#include <stdbool.h>

enum dsn_action {
	DSN_NONE,
	DSN_FAILED,    /* permanent: "bounced" in the log */
	DSN_DELAYED,   /* try again: "deferred" */
	DSN_DELIVERED, /* final delivery: "sent" */
	DSN_RELAYED,   /* handed to a host without DSN support: "sent" */
	DSN_PASSED_ON, /* handed to a host that makes the reports itself: "sent", none of ours */
	DSN_EXPANDED
};

struct dsn {
	enum dsn_action action;
	char status[12];       /* "5.1.1" */
	const char *reason;    /* one line for log and report, without newline */
	const char *diag_type; /* "smtp", "x-unix", ... or NULL */
	const char *diag_text; /* e.g. the remote reply "550 5.1.1 no such user" or NULL */
	const char *mta_type;  /* "dns" or NULL */
	const char *mta_name;  /* remote MTA or NULL */
	bool softened;	       /* a failure that soft_bounce made a delay */
};

/* RFC 3461 NOTIFY= bits. 0: none given. */
enum { NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8 };
/* RFC 3461 RET=. */
enum dsn_ret { RET_NONE, RET_FULL, RET_HDRS };

struct dsn *dsn_make(struct pool *pool, enum dsn_action action, const char *status, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
struct dsn *dsn_copy(struct pool *pool, const struct dsn *d);
/* soft_bounce: a failure as a delay; anything else as it is. */
const struct dsn *dsn_soften(struct pool *pool, const struct dsn *d);
/* "5.1.1" at the start of text (RFC 3463 section 2): its length, or 0. */
size_t dsn_status_length(struct str text);
/* "failed", "delayed", ... of RFC 3464; and "bounced", "deferred", "sent", "SOFTBOUNCE" of the log. */
const char *dsn_action_name(enum dsn_action a);
const char *dsn_log_status(const struct dsn *d);
const char *dsn_probe_status(enum dsn_action a); /* "deliverable", "undeliverable" */
/* "NEVER" or a comma list of SUCCESS, FAILURE, DELAY, in any case; false: syntax. */
bool dsn_parse_notify(struct str text, int *bits);
/* The parameter value for bits, e.g. "SUCCESS,FAILURE"; static strings' composition in out (32 bytes). */
const char *dsn_format_notify(int bits, char out[32]);

#endif
