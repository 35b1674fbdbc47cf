/* notify_classes: the postmaster hears of servers that answer out of the protocol, with what was said. */
#ifndef SMTP_NOTIFY_H
#define SMTP_NOTIFY_H

#include "smtp/smtp.h"

/* c->notices, or NULL when nobody wants to hear of it. */
bool smtp_notices_open(struct smtp_client *c, struct err *err);
void smtp_notices_close(struct smtp_client *c);

/* For the transcript; line ends do not matter. */
void smtp_notify_said(struct smtp_session *s, struct str line);
void smtp_notify_heard(struct smtp_session *s, const struct smtp_reply *reply);
/* A reply that was no success: whether it is trouble with the protocol. */
void smtp_notify_judge(struct smtp_session *s, const struct smtp_reply *reply);
/* After a delivery: sends the notice, if one is due. Notices themselves cause none. */
void smtp_notify(const struct smtp_delivery *d, struct smtp_session *s);

#endif
