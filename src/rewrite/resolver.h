/* What is inside a struct resolver; only the files of this folder include it. Const after resolver_new. */
#ifndef REWRITE_RESOLVER_H
#define REWRITE_RESOLVER_H

#include "rewrite/own_address.h"
#include "rewrite/resolve.h"
#include "rewrite/resolve_trace.h"

struct resolver {
	const struct config *cfg;
	struct matchlist *local_domains, *alias_domains, *mailbox_domains, *relay_domains;
	struct maps *transport_maps, *sender_relayhost_maps, *sender_transport_maps, *relocated_maps;
	struct maps *local_recipients, *relay_recipients, *mailbox_maps, *alias_maps;
	struct maps *canonical_maps, *recipient_canonical_maps;
	bool transport_parents; /* parent_domain_matches_subdomains has transport_maps */
	struct own_addresses *own;
};

/* The parts of an address while it is resolved; slices of the buffer it came in or of the pool. */
struct address_parts {
	struct str local, domain;
};

/* user@site, "site!user" and "user%site" in a local part, by the parameters: the address it means in *out;
 * false: it names nobody else. */
bool rewrite_embedded(const struct config *cfg, struct str local, struct buf *out);
bool rewrite_needs_quotes(struct str local);

/* Transport and next hop for an address whose class and domain are known. */
enum table_status route_choose(struct resolver *r, const struct resolve_trace *trace, const char *sender,
	struct str domain, struct pool *pool, struct resolved *out, struct err *err);

#endif
