/* Who is at the other end. */
#ifndef SMTPD_CLIENT_H
#define SMTPD_CLIENT_H

#include "base/net.h"
#include "dns/dns.h"

struct client {
	char *name;		    /* verified name or "unknown" */
	char *reverse_name;	    /* unverified name or "unknown" */
	char *text;		    /* "name[address]", with ":port" when smtpd_client_port_logging */
	char address[NET_HOST_MAX]; /* printed; "unknown" when XCLIENT said so */
	uint16_t port;		    /* 0: unknown */
	struct net_addr addr;	    /* meaningful when has_addr */
	bool has_addr;
	enum dns_status name_status, reverse_status;			   /* OK, NOT_FOUND or RETRY */
	enum { CLIENT_UNASKED, CLIENT_TRUSTED, CLIENT_STRANGER } networks; /* in mynetworks, asked once */
};

/* What XFORWARD says of the client behind the one that is connected; strings are printable. */
struct forwarded {
	char *name, *address, *port, *helo, *protocol, *ident;
	bool source; /* SOURCE was given: */
	bool local;  /* ... LOCAL */
};

void client_set_address(struct client *c, const struct net_addr *addr);
void client_forget_address(struct client *c);
void client_set_names(struct client *c, const char *name, const char *reverse);
/* Makes text from name, address and port. */
void client_describe(struct client *c, bool with_port);
void client_free(struct client *c);
void forwarded_free(struct forwarded **f);

#endif
