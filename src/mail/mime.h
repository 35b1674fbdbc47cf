/*
 * The structure of a MIME message (RFC 2045, RFC 2046), followed header by header and line by line: which
 * part of the message the next line belongs to, and how its body is encoded. Nothing is decoded. Hostile
 * input costs at most nesting_limit + 2 boundaries of boundary_limit bytes each.
 */
#ifndef MAIL_MIME_H
#define MAIL_MIME_H

#include "base/str.h"

enum mime_section {
	MIME_PRIMARY, /* the message's own header */
	MIME_PART,    /* header of a part of a multipart entity */
	MIME_NESTED,  /* header of an attached message (message/rfc822, message/global) */
	MIME_BODY     /* everything else: text, boundaries, what is before the first and after the last */
};

enum mime_encoding { MIME_7BIT, MIME_8BIT, MIME_BINARY, MIME_QUOTED_PRINTABLE, MIME_BASE64 };
const char *mime_encoding_name(enum mime_encoding encoding); /* "quoted-printable" */

struct mime_options {
	int nesting_limit;     /* mime_nesting_limit */
	size_t boundary_limit; /* mime_boundary_length_limit: bytes of a boundary that are compared */
};

struct mime;
struct mime *mime_new(const struct mime_options *options);
void mime_free(struct mime **m); /* *m may be NULL */

enum mime_section mime_section(const struct mime *m);	/* of the next line */
enum mime_encoding mime_encoding(const struct mime *m); /* of the body that the next line is in */

/* Whether the field has to do with MIME: Content-Type, Content-Transfer-Encoding, MIME-Version, ... */
bool mime_is_header(struct str name);
/* What a Content-Transfer-Encoding header says; false: another header, or an encoding nobody knows. */
bool mime_declared_encoding(struct str header, enum mime_encoding *out);
/* A header in full, lines joined by CRLF or LF. false: its multipart entity is nested too deep and will not
 * be looked into. */
bool mime_header(struct mime *m, struct str header);
/* The header of the present section is over: by the empty line (empty), or by a line that is no header.
 * false: an entity of its type may not have the encoding *declared (RFC 2045 section 6.4, RFC 2046
 * section 5.2). */
bool mime_end_header(struct mime *m, bool empty, enum mime_encoding *declared);
/* What the present header would have to declare if its entity were sent as 7-bit text: for 8-bit text
 * quoted-printable, around other entities 7bit (RFC 2045 section 6.4). The declared encoding itself where no
 * change is needed, or none is allowed: parts of the message/ type other than whole messages. Before
 * mime_end_header. */
enum mime_encoding mime_7bit_encoding(const struct mime *m);
/* What follows is body up to the next boundary, whatever it is. After mime_end_header. */
void mime_opaque(struct mime *m);
/* Whether lines may still be boundaries. */
bool mime_has_parts(const struct mime *m);
/* A line of the body, from its beginning: whether it is a boundary. The section changes by it. */
bool mime_boundary(struct mime *m, struct str line);

#endif
