/* One message over a session: MAIL, RCPT for each recipient that is undecided, DATA, content, replies. */
#ifndef SMTP_TRANSACTION_H
#define SMTP_TRANSACTION_H

#include "smtp/smtp.h"

enum transaction_end {
	TRANSACTION_DONE, /* decided what it could; the session works unless it says failed */
	TRANSACTION_QUIT, /* likewise, and QUIT was sent */
	TRANSACTION_STALE /* a session from the cache that did not take the first command: nothing was
			     decided, make a new one */
};

/* keep: the session shall go back to the cache. */
enum transaction_end smtp_transaction(struct smtp_delivery *d, struct smtp_session *s, bool keep);

/* smtp_content.c */
enum content_end {
	CONTENT_SENT,
	CONTENT_LOST,
	CONTENT_DAMAGED,
	CONTENT_UNREADABLE,
	CONTENT_UNDECIDED, /* a table that has a say in it failed */
	CONTENT_REFUSED	   /* it can never be sent to such a server */
};
/* Writes the content without its final dot line; *first_of_line for the dot. LOST: the session failed. Other
 * failures: err says why. */
enum content_end smtp_send_content(struct smtp_session *s, struct spool_reader *reader,
	const struct delivery_request *request, bool *first_of_line, struct err *err);

#endif
