/*
 * Whether an address takes mail (ADDRESS_VERIFICATION_README): what is known of it, kept in a file that all
 * processes share, and the probe that finds out. A probe is a message that goes the way of all mail but for
 * its content: it is never delivered, deferred or returned.
 *
 * Who asks and is told so makes the probe; the queue manager tells its outcome.
 */
#ifndef VERIFY_VERIFY_H
#define VERIFY_VERIFY_H

#include "cleanup/cleanup.h"
#include "config/config.h"

enum verify_status {
	VERIFY_UNKNOWN,	      /* not known yet */
	VERIFY_DELIVERABLE,   /* some server, or a program here, takes mail for it */
	VERIFY_DEFERRED,      /* nobody could say */
	VERIFY_UNDELIVERABLE, /* it is refused */
};

struct verify; /* used by many threads */

/*
 * Opens the file as mail_owner; root calls this before its jail. Entries from before since_us, microseconds
 * since 1970, do not count when address_verify_map is empty. A file that cannot be opened is no reason to
 * fail: questions do until it can. NULL: the settings of address_verify_service_name's entry cannot be read.
 */
struct verify *verify_open(const struct config *cfg, int64_t since_us, struct err *err);
void verify_close(struct verify **v);
/* Whether the file cannot be used now; err says why. */
bool verify_trouble(struct verify *v, struct err *err);

struct verify_answer {
	enum verify_status status;
	const char *text; /* why, in the pool; "" when there is nothing to say */
	bool probe;	  /* the caller makes a probe now: verify_probe() */
};

/*
 * begun_us: when the caller began to ask about this address; later questions for the same purpose give the
 * same. false: nothing can be said, and nothing may be probed.
 */
bool verify_query(struct verify *v, const char *address, int64_t begun_us, struct pool *pool,
	struct verify_answer *out, struct err *err);
/* Puts a probe for address into the queue. false: there is none, and the next question asks for one again. */
bool verify_probe(struct verify *v, struct cleanup_env *cleanup, const char *address, struct err *err);
/* The outcome of a probe. A failure does not take the place of a success that still counts. */
bool verify_update(
	struct verify *v, const char *address, enum verify_status status, const char *text, struct err *err);
/* There is no outcome, and will be none: the next question asks for a new probe. */
bool verify_forget(struct verify *v, const char *address, struct err *err);

struct verify_sweep {
	size_t retained, dropped;
};
/* Removes entries that no longer count. */
bool verify_sweep(struct verify *v, struct verify_sweep *result, struct err *err);
/* Seconds between sweeps; 0: never. */
int verify_sweep_interval(const struct verify *v);
const char *verify_name(const struct verify *v); /* of the file, for the log */

/* ---- verify_sender.c */

/* The sender of probes now, with a domain; out needs room for ADDRESS_MAX. "" is the null sender. */
void verify_sender(const struct config *cfg, int64_t now_us, struct buf *out);
/* Whether address is the sender of probes now, or was or will be one address_verify_sender_ttl away. */
bool verify_is_sender(const struct config *cfg, const char *address, int64_t now_us);

/* ---- attribute of a probe: the address it is about, as it was asked for */
#define VERIFY_ATTRIBUTE "verify_address"

#endif
