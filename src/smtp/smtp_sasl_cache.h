/* Logins that a server refused for good, kept so that the same password is not tried again and again. */
#ifndef SMTP_SASL_CACHE_H
#define SMTP_SASL_CACHE_H

#include "smtp/smtp.h"

struct smtp_login {
	const char *host, *user, *password;
};

/* smtp_sasl_auth_cache_name; before privileges drop. */
bool smtp_sasl_cache_open(struct smtp_client *c, struct err *err);
/* Whether this login was refused, within smtp_sasl_auth_cache_time. reply: as it was, in pool; to be freed by
 * nobody. */
bool smtp_sasl_cache_find(
	struct smtp_client *c, struct pool *pool, const struct smtp_login *login, struct smtp_reply *reply);
void smtp_sasl_cache_note(
	struct smtp_client *c, const struct smtp_login *login, const struct smtp_reply *reply);

#endif
