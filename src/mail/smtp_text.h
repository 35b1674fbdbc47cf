/* The words of SMTP: command lines, their parameters and replies, for server and client. */
#ifndef MAIL_SMTP_TEXT_H
#define MAIL_SMTP_TEXT_H

#include "base/buf.h"
#include "base/stream.h"

/*
 * A reply from a server (RFC 5321 section 4.2). Lines beyond the limits are counted but not kept; a line
 * without a code of three digits is a syntax error (code NO_REPLY). All text is made printable, 8-bit
 * included.
 */
#define NO_REPLY (-1)
struct smtp_reply {
	int code;
	char status[12]; /* enhanced code of the last line, "" when absent */
	char *text;	 /* all lines, joined by '\n', each with its code; owned */
	size_t lines;
};

/* Who wants to see the lines of a reply as they come; members may be NULL. */
struct smtp_reply_reader {
	/* Each line before it is understood; what is put into `out` takes the line's place. false: the line
	 * cannot be judged, and the reply ends as STREAM_ERROR. */
	bool (*filter)(void *arg, struct str line, struct buf *out);
	/* A line that belongs to no reply: it is kept in the text, and what follows is read. NULL: it ends
	 * the reply. */
	void (*stray)(void *arg, struct str line);
	/* The beginning of a line longer than line_max, all that is kept of it. */
	void (*cut)(void *arg, struct str line);
	void *arg;
};
/* reader: NULL for none. */
enum stream_status smtp_reply_read(
	struct stream *s, size_t line_max, const struct smtp_reply_reader *reader, struct smtp_reply *reply);
void smtp_reply_free(struct smtp_reply *reply);
/* Reads one reply from memory; returns the bytes used, 0 when it is incomplete. For tests and fuzzing. */
size_t smtp_reply_parse(struct str in, struct smtp_reply *reply);

/* Splits "VERB rest": verb up to the first blank; rest without leading blanks. */
void smtp_split_command(struct str line, struct str *verb, struct str *rest);
/* Takes one " KEYWORD[=value]" parameter off *rest (RFC 5321 section 4.1.1.11); 1 taken, 0 end, -1 syntax. */
int smtp_next_parameter(struct str *rest, struct str *keyword, struct str *value);

/*
 * Content in the queue file is in wire form without dot-stuffing: lines end in CRLF, and the last line has
 * its end. The writer sends it: adds the dots and the final CRLF.CRLF dot line. first_of_line carries state
 * between calls; true at the start.
 */
bool smtp_write_content(struct stream *s, struct str part, bool *first_of_line);
bool smtp_end_content(struct stream *s, bool first_of_line);

#endif
