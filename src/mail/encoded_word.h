/* Text that is not ASCII in header fields (RFC 2047). */
#ifndef MAIL_ENCODED_WORD_H
#define MAIL_ENCODED_WORD_H

#include "base/buf.h"

/* A charset name that leaves room for text in an encoded word of 75 bytes. */
bool encoded_word_charset(struct str charset);
/*
 * Appends the text as encoded words ("Q"), fit for a phrase and for a comment. Words are at most 75 bytes
 * long, separated by CRLF and a blank; a UTF-8 sequence is never split. The charset is one that
 * encoded_word_charset allows.
 */
void encoded_word_add(struct str text, struct str charset, struct buf *out);

#endif
