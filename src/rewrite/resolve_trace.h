/* What a resolver did with an address, step by step, for those who want to know why (postern resolve). */
#ifndef REWRITE_RESOLVE_TRACE_H
#define REWRITE_RESOLVE_TRACE_H

#include "rewrite/resolve.h"

struct resolve_step {
	const char *step;      /* "rewrite", "canonical", "masquerade", "copy", "alias", "class", "transport",
				  "relocated",      "next hop", "recipient" */
	const char *parameter; /* which was asked or decided; NULL: a rule of the protocol */
	const char *key;       /* what was asked for; NULL: nothing in particular */
	const char *value;     /* what came of it; NULL: it was not found there */
};

struct resolve_trace {
	void (*record)(void *arg, const struct resolve_step *step); /* the strings live as long as the call */
	void *arg;
};

/* trace may be NULL. Empty slices count as NULL. */
void resolve_record(const struct resolve_trace *trace, const char *step, const char *parameter,
	struct str key, struct str value);
/* Tells of every question to one of the resolver's tables; before other threads use it. */
void resolver_observe(struct resolver *r, maps_observer observe, void *arg);
/* resolve_address and resolve_check_recipient that tell their steps. */
enum table_status resolve_address_traced(struct resolver *r, const struct resolve_trace *trace,
	const char *sender, const char *address, struct pool *pool, struct resolved *out, struct err *err);

void resolve_check_recipient_traced(struct resolver *r, const struct resolve_trace *trace,
	const struct resolved *to, struct recipient_check *out, struct err *err);

#endif
