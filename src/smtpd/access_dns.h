/* DNS questions of the access checks, asked with the slot's resolver. */
#ifndef SMTPD_ACCESS_DNS_H
#define SMTPD_ACCESS_DNS_H

#include "dns/dns.h"

struct access;

/* As dns_lookup, with smtpd_dns_reply_filter. */
void access_dns_lookup(
	struct access *a, struct dns *dns, const char *name, enum dns_type type, struct dns_answer *out);

/* Whether the name has an address or a mail exchanger: OK, NOT_FOUND or RETRY. */
enum dns_status access_dns_host(struct access *a, const char *name);
/* The same for a mail domain; *null_mx: it says that it takes no mail (RFC 7505). */
enum dns_status access_dns_mail(struct access *a, const char *domain, bool *null_mx);

#endif
