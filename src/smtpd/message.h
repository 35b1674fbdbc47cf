/* The message of a transaction: on its way into the spool by cleanup, or, stand-alone, into the maildrop by
 * postdrop. */
#ifndef SMTPD_MESSAGE_H
#define SMTPD_MESSAGE_H

#include "cleanup/cleanup.h"

struct session;
struct message;

/* NULL: no space, or write trouble. */
struct message *message_begin(struct session *s, struct err *err);
const struct queue_id *message_id(const struct message *m);
int64_t message_time(const struct message *m); /* arrival, microseconds */
void message_recipient(struct message *m, const char *address, const char *orcpt, int notify);
void message_prepend(struct message *m, struct str header_lines);
/* As cleanup_line. */
bool message_line(struct message *m, struct str line, bool partial);
/* As cleanup_end; id is that of the message in the queue. */
void message_end(
	struct message **m, struct cleanup_result *result, struct queue_id *id, char *text, size_t text_size);
void message_abort(struct message **m); /* no trace remains; NULL allowed */

#endif
