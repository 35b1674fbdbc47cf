/*
 * A message on its way into the spool: envelope, content line by line, commit. Used by smtpd, pickup, the
 * reports and everything else that makes mail, so that one place decides what may enter the queue.
 */
#ifndef CLEANUP_CLEANUP_H
#define CLEANUP_CLEANUP_H

#include "ipc/queue.h"
#include "milter/milter.h"
#include "rewrite/resolve.h"
#include "spool/spool.h"

enum cleanup_status {
	CLEANUP_OK,
	CLEANUP_TOO_BIG,       /* message_size_limit: 552 5.3.4 */
	CLEANUP_HOPS,	       /* hopcount_limit: 554 5.4.0 */
	CLEANUP_REJECTED,      /* content checks: text in the result */
	CLEANUP_NO_RECIPIENTS, /* 550 5.1.0 */
	CLEANUP_NO_SPACE,      /* 452 4.3.1 */
	CLEANUP_TROUBLE	       /* 451 4.3.0: write error, table trouble */
};

struct cleanup_env; /* what all messages of a service share: configuration, tables; thread-safe */
/* notifier may be NULL: the queue manager finds the mail by its scans. */
struct cleanup_env *cleanup_env_new(const struct config *cfg, struct spool *spool, struct resolver *resolver,
	struct queue_notifier *notifier, struct err *err);
void cleanup_env_free(struct cleanup_env **env);
void cleanup_env_warnings(
	const struct cleanup_env *env, table_warn_fn warn, void *arg); /* what was wrong with its tables */

struct cleanup_options {
	bool local_rewrite; /* local rewriting context (client is in local_header_rewrite_clients, or local
			       submission) */
	bool internal;	    /* made by the mail system: no checks, no bcc */
	bool forwarded; /* was checked when it came in: addresses are mapped, the content is not looked at */
	enum spool_queue queue;	 /* QUEUE_INCOMING; QUEUE_HOLD */
	const char *client;	 /* "name[addr]" or "local" for log lines */
	struct milters *milters; /* of the session that brings it, told of the envelope already; or NULL */
	bool no_session;	 /* came without one: non_smtpd_milters see it */
	const char *origin;	 /* its word in smtputf8_autodetect_classes; NULL: none */
	int64_t arrival_us;	 /* when it came, for one that waited outside this queue since; 0: now */
};

struct cleanup_result {
	enum cleanup_status status;
	char dsn[12];	  /* "2.0.0", "5.3.4", ... */
	const char *text; /* reply text without code; lives as long as the message */
	/* What one of options.milters wants the client to be told, code and all, lines joined by CRLF; NULL:
	 * none of them refused the message. Until the next event they are told of. */
	const char *reply;
};

struct cleanup; /* one message; used by one thread at a time */
struct cleanup *cleanup_begin(struct cleanup_env *env, const struct cleanup_options *options,
	struct err *err); /* NULL: no space or write trouble */
const struct queue_id *cleanup_id(const struct cleanup *c);
int64_t cleanup_time(const struct cleanup *c); /* arrival, microseconds */
struct pool *cleanup_pool(struct cleanup *c);  /* lives as long as the message */
void cleanup_sender(struct cleanup *c, const char *sender, const char *envid, enum dsn_ret ret, int flags);
void cleanup_attribute(
	struct cleanup *c, const char *name, const char *value); /* copied; NULL value: nothing */
void cleanup_recipient(
	struct cleanup *c, const char *address, const char *original, const char *orcpt, int notify);
size_t cleanup_recipient_count(const struct cleanup *c);
/* Decisions of access control that reach past the SMTP dialogue; before cleanup_end. */
void cleanup_hold(struct cleanup *c);			       /* the message goes to QUEUE_HOLD */
void cleanup_redirect(struct cleanup *c, const char *address); /* goes there instead of to its recipients */
/* The header that the server itself puts first (Received:), with CRLF line ends. Before the first
 * cleanup_line. */
void cleanup_prepend(struct cleanup *c, struct str header_lines);
/* One line of the message without its line end. partial: the line goes on in the next call (longer than
 * line_length_limit). false: the message is lost, still call cleanup_end for the reply. */
bool cleanup_line(struct cleanup *c, struct str line, bool partial);
/* Commits; on CLEANUP_OK the message is on stable storage and the queue manager knows. result's text is
 * copied into out (256 bytes at least). Frees c. */
void cleanup_end(struct cleanup **c, struct cleanup_result *result, char *text, size_t text_size);
void cleanup_abort(struct cleanup **c); /* no trace remains; NULL allowed */

#endif
