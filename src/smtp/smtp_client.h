/* What is made of the configuration once, before privileges and root directory are given up. */
#ifndef SMTP_CLIENT_H
#define SMTP_CLIENT_H

#include "smtp/smtp.h"

struct smtp_client *smtp_client_new(struct service *s, const struct config *cfg, bool lmtp, struct err *err);
void smtp_client_free(struct smtp_client **c);

#endif
