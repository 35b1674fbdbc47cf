/* Base64 (RFC 4648 section 4), with padding and without line breaks. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buf.h"

bool base64_encode(struct str in, struct buf *out); /* false: past out's maximum */
bool base64_decode(
	struct str in, struct buf *out); /* false: malformed, or past the maximum; out may have a part */

#endif
