/* The extensions that a server offers. */
#ifndef SMTP_FEATURES_H
#define SMTP_FEATURES_H

#include "smtp/smtp.h"

/* Sets features and size_limit by the answer to EHLO or LHLO, without what smtp_discard_ehlo_keywords or the
 * address's table rules out. False with why: the table fails. */
bool smtp_features_read(
	struct smtp_session *s, struct pool *pool, const struct smtp_reply *reply, struct dsn **why);
/* The FEATURE_ bits of a list of keywords (unknown ones give none). */
int smtp_features_mask(struct str list);

#endif
