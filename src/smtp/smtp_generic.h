/* Addresses on their way out, by smtp_generic_maps (generic(5)). */
#ifndef SMTP_GENERIC_H
#define SMTP_GENERIC_H

#include "smtp/smtp.h"

/* Reads the configuration; before privileges drop. */
bool smtp_generic_open(struct smtp_client *c, struct err *err);
/* Appends what the address becomes; nothing: it stays. false: a table failed, err says how. Only for clients
 * with tables (c->generic). */
bool smtp_generic_map(const struct smtp_client *c, struct str address, struct buf *out, struct err *err);
/* Replaces the value of a header with addresses in the same way: all of it, name and folds included, goes to
 * out; nothing: it stays. */
bool smtp_generic_header(const struct smtp_client *c, struct str header, struct buf *out, struct err *err);

#endif
