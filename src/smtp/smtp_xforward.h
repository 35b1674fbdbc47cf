/* XFORWARD: a server that announces it hears of the client that the mail came from. */
#ifndef SMTP_XFORWARD_H
#define SMTP_XFORWARD_H

#include "smtp/smtp.h"

/* The XFORWARD_ bits of "NAME ADDR ..." in the answer to EHLO. */
int smtp_xforward_attributes(struct str list);
/* Before MAIL. false: the session has failed. */
bool smtp_xforward(struct smtp_session *s, const struct delivery_request *request);

#endif
