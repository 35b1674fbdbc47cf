/* What client and server say to each other, for those who want to know: the postmaster (smtp_notify.h), and
 * the log for servers and next hops in debug_peer_list. */
#ifndef SMTP_DIALOGUE_H
#define SMTP_DIALOGUE_H

#include "smtp/smtp.h"

/* The list, or NULL when nobody is to be looked at. */
bool smtp_dialogue_open(struct smtp_client *c, struct err *err);
/* Whether a new connection is one to look at; address and nexthop may be NULL. */
void smtp_dialogue_begin(struct smtp_session *s, const char *address, const char *nexthop);
/* Line ends do not matter; secrets are for the caller to leave out. */
void smtp_dialogue_said(struct smtp_session *s, struct str line);
void smtp_dialogue_heard(struct smtp_session *s, const struct smtp_reply *reply);

#endif
