/* Replies. They are buffered; the session's loop flushes them when it has nothing more to read. */
#ifndef SMTPD_REPLY_H
#define SMTPD_REPLY_H

#include "base/str.h"

struct session;
struct refusal;

/*
 * One reply line, "250 2.1.0 Ok": made printable, soft_bounce and smtpd_reject_footer applied. 421 and 521
 * end the session. When the client made many errors the reply is held back (smtpd_error_sleep_time).
 */
void reply(struct session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* One line of a longer reply; more: others follow. */
void reply_line(struct session *s, int code, bool more, struct str text);
/* A whole reply, its lines joined by CRLF. */
void reply_lines(struct session *s, const char *lines);
/* A refusal as reply. */
void reply_refusal(struct session *s, const struct refusal *r);
/* "554 5.7.1 text" as it is sent and logged, in the scratch pool. */
const char *refusal_text(struct session *s, const struct refusal *r);

#endif
