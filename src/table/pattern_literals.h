/* What a regular expression cannot match without: one of these literals must be in the key. */
#ifndef TABLE_PATTERN_LITERALS_H
#define TABLE_PATTERN_LITERALS_H

#include "base/buf.h"

struct literals {
	struct buf text; /* in lower case (ASCII), each followed by NUL; no byte above 127 */
	size_t shortest; /* bytes; 0: nothing is known, the expression may match any key */
};

/*
 * Reads an extended or Perl-compatible expression. What is not understood for sure is taken as able to match
 * anything, or makes the whole answer "nothing is known". The caller frees out->text.
 */
void pattern_literals(struct str pattern, struct literals *out);

#endif
