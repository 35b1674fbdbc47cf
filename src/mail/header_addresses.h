/*
 * Changing the addresses of a header field. When one changes, the field is written anew: addresses in
 * standard form with their comments behind them, commas where they lack, one blank between words, folded
 * before addresses.
 */
#ifndef MAIL_HEADER_ADDRESSES_H
#define MAIL_HEADER_ADDRESSES_H

#include "base/buf.h"

struct header_map {
	/* Appends to `to` what the address becomes, in internal form; nothing: it stays. `written` is as the
	 * field has it, without blanks and comments, but with the quotes. false: the whole change is given
	 * up.
	 */
	bool (*address)(void *arg, struct str written, struct buf *to);
	/* Told of a piece of the field of which only the address will be left; may be NULL. */
	void (*stripped)(void *arg, struct str piece);
	void *arg;
};

enum header_change { HEADER_SAME, HEADER_CHANGED, HEADER_GIVEN_UP };

/*
 * The whole field goes to out, as it was given (lines joined by CRLF, no line end); it counts only when the
 * result is HEADER_CHANGED. Words and marks past max_tokens (header_address_token_limit) are dropped then,
 * and so are names and comments of over 250 bytes around an address.
 */
enum header_change header_addresses_map(
	struct str header, size_t max_tokens, const struct header_map *map, struct buf *out);

/* Whose addresses the field has; others are not rewritten. */
enum header_addresses { HEADER_WITHOUT_ADDRESSES, HEADER_OF_SENDERS, HEADER_OF_RECIPIENTS };
enum header_addresses header_addresses_kind(struct str name);
/* Bytes of the name that a header begins with; 0: the line is none (RFC 5322 section 2.2; blanks before the
 * colon are allowed). */
size_t header_name_length(struct str line);

#endif
