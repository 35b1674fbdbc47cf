/* Logging in to servers (RFC 4954). */
#ifndef SMTP_SASL_H
#define SMTP_SASL_H

#include "smtp/smtp.h"

/* Reads the configuration; before privileges drop. */
bool smtp_sasl_open(struct smtp_client *c, struct err *err);
/* Who we are to a server: by sender where that is asked for, by the server's name (NULL: not yet known), by
 * the destination as written. FOUND fills user and password (in d's pool); RETRY: the table failed. */
enum table_status smtp_sasl_credentials(struct smtp_delivery *d, const char *host, const char *destination,
	const char **user, const char **password);
/* What tells connections apart by login, in d's pool; "" without. false: the table failed, *why says it. */
bool smtp_sasl_key(struct smtp_delivery *d, const char *host, const char *destination, const char **key,
	struct dsn **why);
/* Which of these mechanisms the client takes, in pool. */
const char *smtp_sasl_filter(const struct smtp_client *c, struct pool *pool, const char *offered);
/* Logs in if there are credentials and the server offers AUTH. false: *why. */
bool smtp_sasl_login(
	struct smtp_delivery *d, struct smtp_session *s, const char *destination, struct dsn **why);

#endif
