/* Message content from the client: where lines end, and where the message ends (RFC 5321 section 4.1.1.4).
 * The one place that decides it for DATA. */
#ifndef SMTPD_CONTENT_H
#define SMTPD_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

struct session;

struct content {
	bool bare;	 /* some line ended in a bare LF */
	bool too_long;	 /* input was cut: the session must end */
	uint64_t bytes;	 /* as read */
	uint64_t stored; /* of the message, each line end as CR LF */
};

/* Reads up to the end of data into the transaction's message. false: the client is gone or too slow
 * (stream_status). */
bool content_read(struct session *s, struct content *c);
/* Bytes that are read and thrown away after a refusal before the session ends. */
uint64_t content_patience(const struct session *s);
/* Slow clients are cut off while content flows; back to normal with false. */
void content_deadline(struct session *s, bool content);
/* The refusal of smtpd_forbid_bare_newline = reject, logged. */
void content_refuse_bare(struct session *s, const char *where);

#endif
