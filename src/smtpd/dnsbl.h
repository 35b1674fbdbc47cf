/* The forms of DNS block lists (RFC 5782). */
#ifndef SMTPD_DNSBL_H
#define SMTPD_DNSBL_H

#include "base/net.h"

#define DNSBL_REVERSED_MAX 80

/* "1.2.0.192" or 32 nibbles; false: another family. */
bool dnsbl_reverse(const struct net_addr *addr, char out[DNSBL_REVERSED_MAX]);
/*
 * Whether an answer counts. Without a filter: any address below 127.0.0.0/8. A filter is four numbers or sets
 * of them, "127.0.0.[2;4..8]".
 */
bool dnsbl_answer_counts(const char *answer, const char *filter);

#endif
