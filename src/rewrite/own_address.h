/* The addresses under which this host receives mail: inet_interfaces and proxy_interfaces. */
#ifndef REWRITE_OWN_ADDRESS_H
#define REWRITE_OWN_ADDRESS_H

#include "base/net.h"
#include "config/config.h"

struct own_addresses;

/* Const after the call: any thread may ask. NULL with err. */
struct own_addresses *own_addresses_new(const struct config *cfg, struct err *err);
void own_addresses_free(struct own_addresses **own);
bool own_addresses_have(const struct own_addresses *own, const struct net_addr *a); /* whatever the port */

#endif
