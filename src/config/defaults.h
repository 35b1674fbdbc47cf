/* Defaults that depend on the running system. */
#ifndef CONFIG_DEFAULTS_H
#define CONFIG_DEFAULTS_H

#include "base/buf.h"
#include "base/err.h"

/* The host's name; without a domain, mydomain is added ("localdomain" when that is NULL). Caller frees. */
char *default_myhostname(const char *mydomain);
/* myhostname without its first label, or "localdomain". Caller frees. */
char *default_mydomain(const char *myhostname);
/*
 * Networks of this host's interfaces. style: class, subnet or host. inet_interfaces and inet_protocols: the
 * parameters' values. Caller frees; NULL with err on an unknown style or protocol.
 */
char *default_mynetworks(
	const char *style, const char *inet_interfaces, const char *inet_protocols, struct err *err);

#endif
