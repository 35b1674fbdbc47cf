/*
 * The tokens of addresses as people write them (RFC 5322 section 3.2, read liberally): for the envelope's
 * paths, header fields and command lines. Every input has tokens; white space between them is dropped.
 */
#ifndef MAIL_ADDRESS_TOKEN_H
#define MAIL_ADDRESS_TOKEN_H

#include "base/buf.h"

enum address_token_type {
	TOKEN_ATOM,
	TOKEN_QUOTED,  /* a quoted string, text: between the quotes; or a word that has to be quoted, because
			  it has control bytes or marks behind backslashes */
	TOKEN_LITERAL, /* text: between the brackets */
	TOKEN_COMMENT, /* text: with its parentheses */
	TOKEN_SPECIAL  /* one of ( ) < > [ ] : ; @ , . | % ! */
};

struct address_token {
	enum address_token_type type;
	struct str text; /* a part of the input, still with backslashes */
};

struct address_tokens {
	struct address_token *list;
	size_t count, cap;
	bool open_quote; /* the last quoted string has no end */
};

/* Takes at most max tokens off the front of the text, at most one a byte. */
void address_tokenize(struct str in, size_t max, struct address_tokens *out);
void address_tokens_free(struct address_tokens *tokens);
/* Appends the token's internal form: backslashes taken off, line ends and tabs as blanks; literals in their
 * brackets, comments as they stand but for line ends. */
void address_token_text(const struct address_token *token, struct buf *out);
/* As it has to be written. */
void address_token_write(const struct address_token *token, struct buf *out);
bool address_token_is(const struct address_token *token, char special);
bool address_token_is_word(const struct address_token *token); /* atom, quoted or literal */

/* Several tokens as one address; comments are left out. In the internal form a blank keeps words apart that
 * stand side by side, unless both are atoms. */
/* Takes source routes ("@a,@b:user@c") off the front. */
void address_skip_route(const struct address_token **tokens, size_t *count);
void address_tokens_text(const struct address_token *tokens, size_t count, struct buf *out);
void address_tokens_write(const struct address_token *tokens, size_t count, struct buf *out);

#endif
