/* smtp_dns_reply_filter and smtpd_dns_reply_filter: tables that take records out of answers. */
#ifndef DNS_FILTER_H
#define DNS_FILTER_H

#include "dns/dns.h"
#include "table/table.h"

struct dns_filter {
	const char *parameter;
	struct maps *maps;
	void (*say)(bool warning, const char *text); /* a line for the log */
};

/* An answer of dns_lookup or dns_addresses to a question for name. Without records after this, its status is
 * DNS_RETRY, and answer->filtered says why. */
void dns_filter(const struct dns_filter *f, struct pool *pool, const char *name, struct dns_answer *answer);

#endif
