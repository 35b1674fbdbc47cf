/*
 * Notices to the postmaster about trouble in an SMTP session, with its transcript (notify_classes). A session
 * notes what trouble it had; at its end the notice goes into the spool as mail of its own.
 */
#ifndef BOUNCE_NOTICE_H
#define BOUNCE_NOTICE_H

#include "cleanup/cleanup.h"

enum notice_class {
	NOTICE_BOUNCE = 1, /* mail was refused that a report would have been about */
	NOTICE_DATA = 2,   /* a table or file was not available */
	NOTICE_POLICY = 4,
	NOTICE_PROTOCOL = 8,
	NOTICE_RESOURCE = 16,
	NOTICE_SOFTWARE = 32
};

/* What was said, newest last; the oldest lines make room when it grows past a limit. Zeroed: empty. */
struct transcript {
	struct buf text;
	size_t lines; /* with those that are left out */
	bool cut;
};
void transcript_received(struct transcript *t, struct str line); /* without line end, whatever bytes */
void transcript_sent(struct transcript *t, struct str line);
void transcript_free(struct transcript *t); /* empty again */

/* The classes of this list that a session can have trouble of. */
unsigned notice_classes(const char *notify_classes);
/* Whether the list names the class; bounce stands for 2bounce too. */
bool notice_wants(const char *notify_classes, const char *name);

struct notice {
	const char *program; /* "SMTP server", "SMTP client" */
	const char *peer;    /* "name[address]" */
	unsigned classes;    /* trouble there was; with NOTICE_BOUNCE it is for bounce_notice_recipient */
	const struct transcript *transcript;
	const char *first;   /* a sentence before the transcript, or NULL */
	const char *aborted; /* "lost connection", or NULL: the session came to its end */
};
/* true: the notice is on stable storage. */
bool notice_send(const struct config *cfg, struct cleanup_env *cleanup, const struct notice *notice,
	struct queue_id *id, struct err *err);

#endif
