/* What is inside a struct resolver; only the files of this folder include it. Const after resolver_new. */
#ifndef REWRITE_RESOLVER_H
#define REWRITE_RESOLVER_H

#include "rewrite/own_address.h"
#include "rewrite/resolve.h"
#include "rewrite/resolve_trace.h"

/* What makes a domain local: mydestination, inet_interfaces, proxy_interfaces. */
struct local_names {
	struct matchlist *domains;
	struct own_addresses *own;
	const char *origin; /* myorigin */
};

/*
 * Two configurations: of the program that asks (whom its tables list), and of the service that
 * rewrite_service_name names (standard form, classes, routes), which every program shares.
 */
struct resolver {
	const struct config *cfg;	/* the program's */
	const struct config *rules;	/* the rewrite service's */
	const struct config *own_rules; /* when they are ours to free, else NULL */
	struct config *probe_rules;	/* for probes: a copy with their settings, else NULL */
	struct local_names local;	/* by cfg */
	struct maps *local_recipients, *relay_recipients, *mailbox_maps, *alias_maps;
	struct maps *canonical_maps, *recipient_canonical_maps;
	bool propagate_virtual; /* propagate_unmatched_extensions */

	struct local_names local_class; /* by rules, like the rest */
	struct matchlist *alias_domains, *mailbox_domains, *relay_domains;
	struct maps *transport_maps, *sender_relayhost_maps, *sender_transport_maps, *relocated_maps;
	bool transport_parents; /* parent_domain_matches_subdomains has transport_maps */
};

enum table_status local_names_have(const struct local_names *names, struct str domain, struct err *err);
/* Or myorigin: whether tables may list users of the domain without it. */
enum table_status local_names_are_bare(const struct local_names *names, struct str domain, struct err *err);

/* The parts of an address while it is resolved; slices of the buffer it came in or of the pool. */
struct address_parts {
	struct str local, domain;
};

/* user@site, "site!user" and "user%site" in a local part, by the parameters: the address it means in *out;
 * false: it names nobody else. */
bool rewrite_embedded(const struct config *cfg, struct str local, struct buf *out);
bool rewrite_needs_quotes(struct str local);
/* Completes the domain that an address ends with. */
void rewrite_finish_domain(const struct resolver *r, bool local, struct buf *address);

/* Next hop of the error transport for addresses of virtual_alias_domains that no alias leads away from. */
const char *route_unknown_alias(const struct config *rules);
/* The error and retry transports, whose next hop is the reason why there is no delivery. */
bool route_is_refusal(const struct config *rules, struct str transport);
/* Transport and next hop for an address whose class and domain are known. */
enum table_status route_choose(struct resolver *r, const struct resolve_trace *trace, const char *sender,
	struct str domain, struct pool *pool, struct resolved *out, struct err *err);

#endif
