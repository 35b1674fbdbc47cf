/*
 * What becomes of the addresses of a new message (ADDRESS_REWRITING): canonical(5) tables, masquerading,
 * automatic copies. Const after the call that opens it: any thread may ask.
 */
#ifndef REWRITE_MAPPING_H
#define REWRITE_MAPPING_H

#include "rewrite/resolve_trace.h"

/* Where an address stands: what canonical_classes and the like name. */
enum {
	CLASS_ENVELOPE_SENDER = 1,
	CLASS_ENVELOPE_RECIPIENT = 2,
	CLASS_HEADER_SENDER = 4,
	CLASS_HEADER_RECIPIENT = 8
};
int mapping_class(const char *name); /* "envelope_sender"; 0: no such class */

struct mapping;
/* cfg and resolver live longer. NULL with err. */
struct mapping *mapping_new(const struct config *cfg, struct resolver *resolver, struct err *err);
void mapping_free(struct mapping **m);
void mapping_warnings(const struct mapping *m, table_warn_fn warn, void *arg);
/* Tells of every question to one of its tables; before other threads use it. */
void mapping_observe(struct mapping *m, maps_observer observe, void *arg);

struct mapping_listener {
	const struct resolve_trace *trace;	       /* or NULL */
	void (*complain)(void *arg, const char *text); /* of entries that make no sense */
	void *arg;
};

/*
 * Canonical tables and masquerading for an address in standard form, by its class; no change where none is
 * due. RETRY, MISCONFIGURED: *parameter is what could not be asked, about the address as it is then.
 */
enum table_status mapping_apply(const struct mapping *m, const struct mapping_listener *listener, int class,
	struct buf *address, const char **parameter, struct err *err);

/* Whom sender_bcc_maps or recipient_bcc_maps have for the address, as the table gives it. */
enum table_status mapping_sender_copy(const struct mapping *m, const struct resolve_trace *trace,
	const char *sender, struct buf *copy, struct err *err);
enum table_status mapping_recipient_copy(const struct mapping *m, const struct resolve_trace *trace,
	const char *recipient, struct buf *copy, struct err *err);

#endif
