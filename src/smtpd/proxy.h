/*
 * A message on its way to the filter that smtpd_proxy_filter names (SMTPD_PROXY_README): what the client says
 * is said to the filter too, and the filter's answers are the client's. Nothing enters the queue here. With
 * smtpd_proxy_options = speed_adjust the filter is spoken to when the whole message is there.
 *
 * A refusal is the reply for the client, lines joined by CRLF; it lives as long as the transaction.
 */
#ifndef SMTPD_PROXY_H
#define SMTPD_PROXY_H

#include "base/str.h"

struct proxy;
struct session;

/* For the session's transaction. Connects with the first recipient. */
struct proxy *proxy_begin(struct session *s);
/* said: path and parameters, as the client said them. NULL: accepted. */
const char *proxy_recipient(struct proxy *p, const char *recipient, const char *said);
/* The content begins. NULL: it may. */
const char *proxy_data(struct proxy *p);
/* As cleanup_line. */
bool proxy_line(struct proxy *p, struct str line, bool partial);
/* Lines with their ends. */
bool proxy_text(struct proxy *p, struct str lines);
/* The end of the content, and of the conversation. *accepted: whether the filter took it; the reply for the
 * client either way. Frees it. */
const char *proxy_end(struct proxy **p, bool *accepted);
void proxy_abort(struct proxy **p); /* NULL allowed */

/* What smtpd_proxy_options asks for; false: there is a word in it that nobody knows. */
bool proxy_options(const char *text, bool *speed_adjust);

#endif
