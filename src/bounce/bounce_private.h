/* What the files of bounce share. Nothing outside this folder includes it. */
#ifndef BOUNCE_BOUNCE_PRIVATE_H
#define BOUNCE_BOUNCE_PRIVATE_H

#include "bounce/bounce.h"

/* Who gets it, which decides sender, subject and how much of the message goes along. */
enum bounce_audience { AUDIENCE_SENDER, AUDIENCE_POSTMASTER };

/* One report on its way; lives from bounce_write() begin to end. */
struct report {
	const struct bounce_env *env;
	enum bounce_kind kind;
	enum bounce_audience audience;
	enum spool_queue queue; /* where the message's file is */
	const struct envelope *e;
	const uint32_t *indexes;
	size_t count;
	const char *from, *to; /* envelope of the report, internal form */
	const struct bounce_template *template;
	bool headers_only;
	bool utf8; /* addresses and message need RFC 6533 forms */
	char boundary[64];
	struct cleanup *out;
	int64_t now_us;
};

static inline const char *report_message_id(const struct report *r)
{
	return r->env->known_as ? r->env->known_as->text : r->e->id.text;
}

/* ---- bounce_text.c: lines of the report. Control bytes never pass; bytes >= 0x80 only where the report is
 * UTF-8. */
bool bounce_line(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same, folded at blanks: 79 columns, continued by four blanks. */
bool bounce_folded(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* External form of an address, in the pool of the report's message. */
const char *bounce_address(struct report *r, const char *internal);
/* The notice for people (not in the postmaster's copy), and a paragraph for each recipient. */
void bounce_notice(struct report *r);

/* ---- bounce_status.c: message/delivery-status (RFC 3464) */
void bounce_status(struct report *r);

/* ---- bounce_original.c: the message, or its header. false: it cannot be read (err). */
bool bounce_original(struct report *r, struct err *err);

/* ---- bounce_message.c: puts all together and commits. */
bool bounce_write(struct report *r, struct queue_id *id, struct err *err);

#endif
