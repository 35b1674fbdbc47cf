/* Content on its way into the connection: dots, and lines that are too long. */
#ifndef SMTP_WRITER_H
#define SMTP_WRITER_H

#include "base/str.h"

struct stream;

/*
 * Without fold and dots the text goes through as it is: for content that is known to have neither long lines
 * nor dots at their begin. Both may change between two lines.
 */
struct smtp_writer {
	struct stream *out;
	bool dots; /* double them (RFC 5321 section 4.5.2) */
	bool fold; /* send pieces of at most `limit` bytes; the break is CRLF and a blank, which belongs to
		      the next piece. Includes dots. */
	size_t limit;
	size_t column;	    /* bytes of the line so far, when folding */
	bool held_cr;	    /* a CR came at the end of one text: its LF may be the begin of the next */
	bool broke;	    /* a line that was too long */
	bool first_of_line; /* true at the start, and after a whole line */
};

/* Any split of the content. false: the stream has failed. */
bool smtp_writer_put(struct smtp_writer *w, struct str text);

#endif
