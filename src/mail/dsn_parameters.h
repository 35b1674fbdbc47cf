/* The parameters of RFC 3461: RET, ENVID and ORCPT as values. false: malformed; nothing is taken in part. */
#ifndef MAIL_DSN_PARAMETERS_H
#define MAIL_DSN_PARAMETERS_H

#include "base/buf.h"
#include "mail/dsn.h"

bool dsn_parse_ret(struct str value, enum dsn_ret *out);
bool dsn_parse_envid(struct str value, struct buf *out);
/* "rfc822;user+2Bx@example" or "utf-8;\x{FC}ser@example" (RFC 6533 section 3), decoded, type included. */
bool dsn_parse_orcpt(struct str value, struct buf *out);

#endif
