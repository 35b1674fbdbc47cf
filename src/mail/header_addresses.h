/*
 * Changing the addresses of a header field: each one where it stands; the text around it (names, comments,
 * folds) stays as the sender made it.
 */
#ifndef MAIL_HEADER_ADDRESSES_H
#define MAIL_HEADER_ADDRESSES_H

#include "base/buf.h"

/*
 * Appends to `to` what the address becomes, in internal form; nothing: it stays as it stands. has_domain:
 * there is an @ outside quotes; without one, an @ in `from` is inside the quotes of a local part. false: the
 * whole change is given up.
 */
typedef bool (*header_map_fn)(void *arg, struct str from, bool has_domain, struct buf *to);

enum header_change { HEADER_SAME, HEADER_CHANGED, HEADER_GIVEN_UP };

/*
 * The field's body goes to out when the result is HEADER_CHANGED. What cannot be read as addresses stays, and
 * so do addresses past the first max_tokens words and marks (header_address_token_limit).
 */
enum header_change header_addresses_map(
	struct str value, size_t max_tokens, header_map_fn map, void *arg, struct buf *out);

/* Whether the field has addresses that are to be rewritten, of senders or recipients. */
bool header_has_addresses(struct str name);
/* Bytes of the name that a header begins with; 0: the line is none (RFC 5322 section 2.2; blanks before the
 * colon are allowed). */
size_t header_name_length(struct str line);

#endif
