/* The hosts of a destination, in the order in which they are to be tried. */
#ifndef SMTP_HOSTS_H
#define SMTP_HOSTS_H

#include "smtp/smtp.h"
#include "smtp/smtp_destination.h"

struct smtp_host {
	const char *name;
	struct net_addr address; /* with port */
	int preference;
	uint32_t shuffle; /* order within the same preference */
	bool best;	  /* none is preferred to it */
	bool secure;	  /* its addresses were validated by DNSSEC */
	const char *base; /* its name after CNAMEs */
};

struct smtp_hosts {
	struct smtp_host *list;
	size_t count;
	bool detect_loop; /* the port is the one that we might listen on ourselves */
	bool secure;	  /* the list of names was validated, or there is none */
};

/* false: none; *why says so for the recipients. *final: we are among the hosts ourselves, so that no other
 * destination may be tried: it might bring the mail back. */
bool smtp_hosts_find(struct smtp_delivery *d, const struct smtp_destination *to, struct smtp_hosts *out,
	struct dsn **why, bool *final);

/* smtp_order.c: sorts, cuts to smtp_mx_address_limit and keeps both address families in what remains. */
void smtp_hosts_order(const struct config *cfg, struct smtp_hosts *hosts);

#endif
