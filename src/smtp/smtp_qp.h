/* The quoted-printable encoding (RFC 2045 section 6.7), of text that comes in lines. */
#ifndef SMTP_QP_H
#define SMTP_QP_H

#include "base/buf.h"

#define SMTP_QP_GROWTH 4 /* the result has at most this many times the bytes */

/* Appends what a piece of a line becomes, without line end; ends: the line ends here. *column, 0 at the begin
 * of a line, carries on between its pieces. */
void smtp_qp_encode(struct str piece, bool ends, size_t *column, struct buf *out);

#endif
