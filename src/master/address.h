/* The addresses that an inet service of master.cf listens on (master(5)): "host:port", "[host]:port", ":port"
 * or "port". */
#ifndef MASTER_ADDRESS_H
#define MASTER_ADDRESS_H

#include "base/net.h"

struct address_settings {
	const char *interfaces;	 /* inet_interfaces: for services without host */
	const char *protocols;	 /* inet_protocols */
	const char *known_ports; /* known_tcp_ports */
};

struct address_list {
	struct net_addr *list; /* freed by address_list_free */
	size_t count;
};

/* Names are asked of the system's resolver. */
bool address_resolve(const struct address_settings *settings, const char *service, struct address_list *out,
	struct err *err);
void address_list_free(struct address_list *l);
/* "smtps" in "smtps=submissions=465, ..." is 465; 0: not there. */
uint16_t address_known_port(const char *known_ports, struct str name);
/* inet_protocols has "all": what IPv6 cannot do is no error then. */
bool address_family_optional(const struct address_settings *settings, const struct net_addr *a);

#endif
