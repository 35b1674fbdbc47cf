/* Shared by the files of this folder. */
#ifndef DNS_INTERNAL_H
#define DNS_INTERNAL_H

#include "base/hash.h"
#include "dns/dns.h"

#define DNS_NAME_MAX 1024 /* a name of 255 octets with every octet as \DDD, and NUL */

/* The hosts file, read once and then only read: addresses by name, first name by printed address. */
struct dns_hosts;
struct dns_hosts *dns_hosts_read(const char *path); /* a file that cannot be read is an empty one */
void dns_hosts_free(struct dns_hosts **h);
const char *dns_hosts_name(const struct dns_hosts *h, const struct net_addr *a); /* NULL: not listed */
/* Appends what the file lists for name to out->records; false: nothing. */
bool dns_hosts_addresses(const struct dns_hosts *h, struct pool *pool, const char *name, bool want_v4,
	bool want_v6, struct dns_answer *out);
const struct dns_hosts *dns_hosts_of(const struct dns *d);

/* The domains of resolv.conf's last "search" or "domain", else that of this host. */
#define DNS_DOMAINS_MAX 6
struct dns_domains;
struct dns_domains *dns_domains_new(void);
void dns_domains_read(
	struct dns_domains *d, struct str keyword, struct str line); /* a line, without its keyword */
void dns_domains_default(struct dns_domains *d);		     /* when the file named none */
const struct dns_domains *dns_domains_of(const struct dns *d);

/* Empty answer with the usual reason for the status. */
void dns_answer_init(struct dns_answer *out, enum dns_status status, const char *name);
/* Copies records of `from` behind those of `to`, no more than DNS_RECORDS_MAX together. */
void dns_answer_append(struct pool *pool, struct dns_answer *to, const struct dns_record *from, size_t count);
/* A name that may be asked for: labels of 1 to 63 printable bytes, 253 together, an optional final dot. */
bool dns_name_askable(struct str name);

#endif
