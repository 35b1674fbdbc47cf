/* What client and server say to each other, for those who want to know: the postmaster (notify.h), and the
 * log for clients in debug_peer_list. */
#ifndef SMTPD_DIALOGUE_H
#define SMTPD_DIALOGUE_H

#include "base/str.h"

struct session;
struct trace_step;

/* Whether the client is one to look at; asked again when it is another (XCLIENT). */
void dialogue_begin(struct session *s);
void dialogue_heard(struct session *s, struct str line);
void dialogue_said(struct session *s, struct str line);
/* A step of access control; from debug_peer_level 2 on. */
void dialogue_step(const struct session *s, const struct trace_step *step);

#endif
