/* What happens to the recipients of a request when something was said, refused or lost. */
#ifndef SMTP_OUTCOME_H
#define SMTP_OUTCOME_H

#include "smtp/smtp.h"

/* No session could be had: the next host or destination is tried, or this stays as the reason. Permanent
 * failures decide at once. */
void smtp_fail_site(struct smtp_delivery *d, const struct dsn *dsn, const struct smtp_session *s);
/* The message was refused by this host (MAIL, DATA, end of data). */
void smtp_fail_message(struct smtp_delivery *d, const struct dsn *dsn, const struct smtp_session *s);
/* One recipient was refused. */
void smtp_fail_recipient(
	struct smtp_delivery *d, size_t i, const struct dsn *dsn, const struct smtp_session *s);
/* What holds for all recipients that the host had accepted; the others have their own outcome or another
 * host. */
void smtp_fail_accepted(struct smtp_delivery *d, const struct dsn *dsn, const struct smtp_session *s);
/* One recipient's mail was taken. */
void smtp_sent(
	struct smtp_delivery *d, size_t i, const struct smtp_reply *reply, const struct smtp_session *s);
/* Recipients that nothing was decided for after the last host. */
void smtp_fail_rest(struct smtp_delivery *d);
bool smtp_all_decided(const struct smtp_delivery *d);

#endif
