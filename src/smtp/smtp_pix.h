/* Servers behind a firewall that garbles SMTP: smtp_pix_workarounds and its companions. */
#ifndef SMTP_PIX_H
#define SMTP_PIX_H

#include "smtp/smtp.h"

enum { PIX_DISABLE_ESMTP = 1, PIX_DELAY_DOTCRLF = 2 };

/* Sets s->pix by the server's greeting. false: a table failed; *why says it. */
bool smtp_pix_recognise(struct smtp_session *s, struct pool *pool, const struct delivery_request *request,
	const struct smtp_reply *greeting, struct dsn **why);
/* Before the final dot: sends what is buffered and waits, where that helps this message. */
void smtp_pix_pause(struct smtp_session *s, const struct delivery_request *request);

#endif
