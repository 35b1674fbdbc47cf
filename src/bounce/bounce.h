/*
 * Delivery status reports (RFC 3464, RFC 3461, RFC 6522): multipart/report to the sender, and the
 * postmaster's copies of notify_classes. The report is mail of its own, put into the spool by cleanup; when
 * the call returns true the report is on stable storage.
 */
#ifndef BOUNCE_BOUNCE_H
#define BOUNCE_BOUNCE_H

#include "bounce/bounce_template.h"
#include "cleanup/cleanup.h"

/* BOUNCE_STATUS: what came of every recipient, or would come (ENVELOPE_PROBE), for a sender who asked. */
enum bounce_kind { BOUNCE_FAILURE, BOUNCE_DELAY, BOUNCE_SUCCESS, BOUNCE_STATUS };

struct bounce_env {
	const struct config *cfg;
	struct cleanup_env *cleanup;
	struct spool *spool;
	const struct bounce_templates *templates; /* NULL: built in */
	const struct bounce_services *services;	  /* whose settings and templates hold; NULL: these */
	const struct queue_id *known_as;	  /* in reports and the log; NULL: the message's own id */
};

/*
 * Reports the given recipients (indexes into e->recipients, their outcome in `last`) to the sender as NOTIFY
 * allows. A failure of a report (sender "") goes to 2bounce_notice_recipient or nowhere, never back.
 * *report_id is "" when nothing was to be sent.
 */
bool bounce_send(const struct bounce_env *env, enum bounce_kind kind, enum spool_queue queue,
	const struct envelope *e, const uint32_t *indexes, size_t count, struct queue_id *report_id,
	struct err *err);

#endif
