/*
 * UTF-8 (RFC 3629; Unicode table 3-7): over-long forms, surrogates and values past U+10FFFF are not valid.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/buf.h"
#include "base/str.h"

size_t utf8_sequence(struct str s); /* bytes of the well-formed sequence at the start, 0 when there is none */
bool utf8_valid(struct str s);
/* Text from outside made fit for logs, replies and terminals, in place: control characters, those of U+0080
 * to U+009F too, and what is not UTF-8 become instead, byte for byte. */
void utf8_hide_controls(char *text, size_t n, char instead);
/* Text as a JSON string (RFC 8259), with its quotes; control characters are escaped, a byte that is not UTF-8
 * becomes U+FFFD. */
void utf8_put_json(struct buf *out, struct str text);

#endif
