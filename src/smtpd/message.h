/* The message of a transaction: on its way into the spool by cleanup, to a proxy filter, or, stand-alone,
 * into the maildrop by postdrop. */
#ifndef SMTPD_MESSAGE_H
#define SMTPD_MESSAGE_H

#include "cleanup/cleanup.h"

struct session;
struct message;

/* NULL: no space, or write trouble. */
struct message *message_begin(struct session *s, struct err *err);
const struct queue_id *message_id(const struct message *m);
int64_t message_time(const struct message *m); /* arrival, microseconds */
/* said: path and parameters as in the command. NULL: taken; else the reply that refuses, lines joined by
 * CRLF, for as long as the transaction lives. */
const char *message_recipient(
	struct message *m, const char *address, const char *orcpt, int notify, const char *said);
/* The content begins. NULL: it may; else as above. */
const char *message_data(struct message *m);
/* Whether it goes into the queue: not when a proxy filter gets it. */
bool message_is_queued(const struct message *m);
void message_prepend(struct message *m, struct str header_lines);
/* As cleanup_line. */
bool message_line(struct message *m, struct str line, bool partial);
/* As cleanup_end; id is that of the message in the queue. */
void message_end(
	struct message **m, struct cleanup_result *result, struct queue_id *id, char *text, size_t text_size);
void message_abort(struct message **m); /* no trace remains; NULL allowed */

#endif
