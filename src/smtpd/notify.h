/* notify_classes: what the postmaster hears of a session. Trouble is noted as it happens; one notice with the
 * transcript goes out at the end. A message that was accepted makes up for what went before. */
#ifndef SMTPD_NOTIFY_H
#define SMTPD_NOTIFY_H

#include "bounce/notice.h"

struct session;

struct notify {
	unsigned wanted, classes; /* enum notice_class */
	bool noted;		  /* the command under way has said what its failure counts as */
	struct transcript transcript;
};

void notify_begin(struct session *s);
/* A command that fails without a note counts as NOTICE_PROTOCOL. classes 0: it is nobody's business. */
void notify_note(struct session *s, unsigned classes);
void notify_heard(struct session *s, struct str line);
void notify_said(struct session *s, struct str line);
void notify_end(struct session *s);
/* The session begins anew, or a message has ended: when the transcript is longer than
 * smtpd_history_flush_threshold, what there is to be told of is told, and both begin anew too. */
void notify_flush(struct session *s);

#endif
