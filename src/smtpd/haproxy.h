/* The PROXY protocol of HAProxy, versions 1 and 2: addresses that a load balancer sends ahead of the session.
 */
#ifndef SMTPD_HAPROXY_H
#define SMTPD_HAPROXY_H

#include "base/net.h"
#include "base/stream.h"

#define HAPROXY_HEADER_MAX 536 /* bytes of a header that is taken, of either version */

struct haproxy {
	bool has_addresses; /* false: LOCAL or UNKNOWN, the connection's own count */
	struct net_addr client, server;
};

/* Bytes used by the header at the start of in; 0: incomplete; -1: refused, err says why and quotes it. */
ssize_t haproxy_parse(struct str in, struct haproxy *out, struct err *err);
/* Reads the header off the stream, and nothing of what follows it. */
bool haproxy_read(struct stream *s, int seconds, struct haproxy *out, struct err *err);

#endif
