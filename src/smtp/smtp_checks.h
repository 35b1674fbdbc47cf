/* The tables of header_checks(5) and body_checks(5) while mail is sent. */
#ifndef SMTP_CHECKS_H
#define SMTP_CHECKS_H

#include "mail/mime.h"
#include "smtp/smtp.h"

struct smtp_check {
	const char *parameter;
	struct maps *maps;
};

/* Const once the service runs. */
struct smtp_checks {
	struct smtp_check header, mime_header, nested_header, body;
	bool lmtp;
	bool utf8; /* smtputf8_enable */
	bool deep; /* they look further than the message's own header */
};

/* What becomes of a line or header. */
struct check_result {
	bool drop, replaced;
	struct buf prepended;	/* goes before it, if not empty; lines are separated by LF */
	struct buf replacement; /* likewise */
};

/* *c stays NULL when no table is set. false: err says why. */
bool smtp_checks_open(const struct smtp_client *client, struct smtp_checks **c, struct err *err);
void smtp_checks_free(struct smtp_checks **c); /* *c may be NULL */

void check_result_free(struct check_result *r);
/* A header as it stands in the message, lines joined by CRLF. own: the client made it, and only the section
 * says which table is asked. false: a lookup failed; err says which. */
bool smtp_checks_header(const struct smtp_checks *c, const char *qid, enum mime_section section,
	struct str header, bool own, struct check_result *r, struct err *err);
/* A line, or a part of one that is very long. */
bool smtp_checks_body(const struct smtp_checks *c, const char *qid, struct str line, struct check_result *r,
	struct err *err);

#endif
