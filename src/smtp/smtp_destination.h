/* The next hop of a request, as transport tables, relayhost and smtp_fallback_relay write it. */
#ifndef SMTP_DESTINATION_H
#define SMTP_DESTINATION_H

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

struct smtp_destination {
	const char *path; /* UNIX socket; NULL: the rest counts */
	const char *host; /* name in ASCII form or address, without brackets */
	uint16_t port;
	bool lookup_mx; /* a mail domain rather than a host */
};

/*
 * "domain", "domain:port", "[host]", "[host]:port", "[ipv6:address]"; for LMTP also "unix:path",
 * "inet:host:port", and a name is a host's. idna2003: names beyond ASCII are converted as that standard had
 * it (enable_idna2003_compatibility). Strings are in pool. false: cannot be used, err says why.
 */
bool smtp_destination_parse(struct pool *pool, struct str text, bool lmtp, bool idna2003,
	uint16_t default_port, struct smtp_destination *out, struct err *err);
/* A port by number or by name. */
bool smtp_port(struct str text, uint16_t *port);

#endif
