/* One mail transaction: from an accepted MAIL to the end of data, RSET, EHLO or the end of the session. */
#ifndef SMTPD_TRANSACTION_H
#define SMTPD_TRANSACTION_H

#include "base/buf.h"
#include "mail/dsn.h"
#include "smtpd/access.h"
#include "smtpd/message.h"

struct session;

struct mail_options {
	const char *envid; /* decoded, or NULL */
	enum dsn_ret ret;
	const char *sasl_sender; /* AUTH= as said, or NULL */
	const char *verp;	 /* two delimiters, or NULL */
	const char *body;	 /* "7BIT", "8BITMIME" or NULL */
	uint64_t size;		 /* SIZE=; 0: not said */
	bool smtputf8;
};

/* The chunks of BDAT so far. */
struct chunks {
	bool used;	    /* some BDAT was accepted: DATA and RCPT are out of place */
	bool failed;	    /* refused: further chunks are only discarded */
	bool end_pending;   /* the last byte of the chunk was a CR whose LF may follow */
	bool in_line;	    /* the last line is not ended yet */
	bool bare;	    /* some line ended in a bare LF */
	bool lost;	    /* the message cannot be kept; its end says why */
	uint64_t bytes;	    /* taken so far */
	uint64_t stored;    /* the same, with each line end as CR LF */
	uint64_t discarded; /* after a failure */
	struct buf line;    /* the line in progress */
};

struct transaction {
	struct pool *pool;
	const char *sender; /* internal form, "" is the null sender */
	const char *said;   /* path and parameters, as the client said them */
	struct mail_options options;
	struct message *message; /* NULL until the first accepted recipient */
	size_t recipients;	 /* accepted */
	size_t over_limit;	 /* refused beyond smtpd_recipient_limit */
	const char *recipient;	 /* the only accepted one so far; NULL: none or several */
	bool prepended;		 /* the server's own headers are in */
	const char *instance;	 /* attribute of requests to policy servers; NULL until the first */
	uint64_t policy_owner;	 /* goes with it; 0: none was asked */
	uint64_t content_size;	 /* of the message that has ended, each line end as CR LF */
	struct deferral if_permit;
	struct effects effects;
	struct chunks chunks;
};

/* Starts one; the session has none. */
struct transaction *transaction_begin(
	struct session *s, const char *sender, const char *said, const struct mail_options *options);
/* Ends it, whatever state it is in; what was not committed leaves no trace. Also resets what XFORWARD said.
 * No transaction: nothing. */
void transaction_end(struct session *s);
/* Makes the message in the spool when there is none yet; logs the client with the queue id. */
bool transaction_open(struct session *s, struct err *err);
/* Everything that goes in front of the client's content; once. */
void transaction_prepend(struct session *s);
/* Ends the message: access control at end of data, commit, reply, and the end of the transaction. true:
 * accepted. */
bool transaction_finish(struct session *s, const char *queued_prefix);

#endif
