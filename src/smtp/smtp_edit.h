/*
 * Content that changes while it is sent: addresses in headers by smtp_generic_maps; 8-bit text becomes
 * quoted-printable, part by part, for servers that take only 7 bits (RFC 6152 section 3). What is not
 * declared to be 8-bit text stays as it is. Only what may change is looked at line by line; the rest goes
 * through in pieces.
 */
#ifndef SMTP_EDIT_H
#define SMTP_EDIT_H

#include "smtp/smtp_transaction.h"
#include "smtp/smtp_writer.h"

struct smtp_edit;

/* NULL: nothing is to be changed. The writer's settings are for content that was not changed; the edit sees
 * to what its changes need. */
struct smtp_edit *smtp_edit_new(
	const struct smtp_session *s, const struct delivery_request *request, struct smtp_writer *out);
void smtp_edit_free(struct smtp_edit **e); /* *e may be NULL */
/* The next piece of the content, at most 64 kB; an empty one is its end. CONTENT_SENT: go on. */
enum content_end smtp_edit_feed(struct smtp_edit *e, struct str piece, struct err *err);

#endif
