/*
 * The tokens of an address (RFC 5322 section 3.2, read liberally): for the envelope's paths and, later,
 * header fields. Comments and white space are dropped unless strict, where they are an error.
 */
#ifndef MAIL_ADDRESS_TOKEN_H
#define MAIL_ADDRESS_TOKEN_H

#include "base/buf.h"

enum address_token_type {
	TOKEN_ATOM,
	TOKEN_QUOTED,  /* text: between the quotes, still with backslashes */
	TOKEN_LITERAL, /* text: with its brackets */
	TOKEN_SPECIAL  /* one of . @ , : ; < > */
};

struct address_token {
	enum address_token_type type;
	struct str text; /* a part of the input */
	bool closed;	 /* quotes or brackets were closed */
};

struct address_tokens {
	struct address_token *list;
	size_t count, cap;
};

/* false: unbalanced quotes, or (strict) comments; nothing to free then. At most one token a byte. */
bool address_tokenize(struct str in, bool strict, struct address_tokens *out);
void address_tokens_free(struct address_tokens *tokens);
/* Appends the token's internal form: backslashes taken off. */
void address_token_text(const struct address_token *token, struct buf *out);
bool address_token_is(const struct address_token *token, char special);

#endif
