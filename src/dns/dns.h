/* DNS questions over c-ares. A resolver belongs to one slot (one thread at a time); answers are values in a
 * pool. Replies are hostile: counts are capped. */
#ifndef DNS_DNS_H
#define DNS_DNS_H

#include "base/mem.h"
#include "base/net.h"

#define DNS_RECORDS_MAX 100 /* records kept of one answer */

enum dns_status {
	DNS_OK,
	DNS_NOT_FOUND, /* the name does not exist */
	DNS_NO_DATA,   /* the name exists without such records */
	DNS_RETRY,     /* server failure or time out */
	DNS_INVALID    /* malformed name or answer */
};

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_TLSA = 52
};

struct dns_record {
	enum dns_type type;
	const char *name;	 /* owner, after CNAMEs */
	const char *text;	 /* MX, NS, PTR, CNAME: host name; TXT: text with control bytes replaced */
	struct net_addr address; /* A, AAAA */
	struct str data;	 /* TLSA: raw, of any length */
	int preference;		 /* MX */
	uint32_t ttl;
};

enum dns_filtered {
	DNS_UNFILTERED,
	DNS_FILTER_DROPPED, /* a filter took all records (dns_filter.h) */
	DNS_FILTER_FAILED
};

struct dns_answer {
	enum dns_status status;
	enum dns_filtered filtered;
	struct dns_record *records;
	size_t count;
	bool secure;	       /* AD bit of a trusted local resolver */
	bool null_mx;	       /* RFC 7505: a single MX "." */
	bool bad_names;	       /* DNS_INVALID, but only because no record has a valid name */
	const char *canonical; /* name after CNAMEs */
	const char *reason;    /* text for logs: "Host not found", "Host not found, try again", ... */
};

struct dns;
struct dns_options {
	const char *resolv_conf; /* NULL: /etc/resolv.conf; servers and the options timeout, attempts, rotate
				    and trust-ad count */
	const char *hosts;	 /* NULL: /etc/hosts */
	uint16_t port;		 /* of the servers; 0: 53 */
};
struct dns *dns_new(struct err *err); /* reads resolv.conf and hosts: before chroot and before threads */
struct dns *dns_open(const struct dns_options *options, struct err *err);
/* A resolver for one slot with the settings of origin, which outlives it; reads no files that a chroot may
 * lack. Any thread may call it. */
struct dns *dns_clone(const struct dns *origin, struct err *err);
void dns_free(struct dns **d);
void dns_lookup(
	struct dns *d, struct pool *pool, const char *name, enum dns_type type, struct dns_answer *out);
/* A and AAAA at once; want_v4/v6 choose. Addresses in the resolver's order; literals are answered without
 * asking. */
void dns_addresses(struct dns *d, struct pool *pool, const char *name, bool want_v4, bool want_v6,
	struct dns_answer *out);
/* The same for a name that may be short (resolver(5)): with DNS_APPEND_DOMAIN, a name without a dot is first
 * asked for in the local domain; with DNS_SEARCH_PARENTS, in all domains of the search list, and other names,
 * when they are not found as they are, too. */
enum { DNS_APPEND_DOMAIN = 1, DNS_SEARCH_PARENTS = 2 };
void dns_search_addresses(struct dns *d, struct pool *pool, const char *name, bool want_v4, bool want_v6,
	int how, struct dns_answer *out);
/* As dns_addresses, with the hosts file asked first. */
void dns_native_addresses(struct dns *d, struct pool *pool, const char *name, bool want_v4, bool want_v6,
	struct dns_answer *out);
/* The verified name of an address: hosts file or PTR, then address of that name must contain it. *name is
 * "unknown" otherwise; *reverse is the unverified name. Return: OK, NOT_FOUND (550-like) or RETRY (450-like)
 * for the name-and-address check, as smtpd_peername_lookup needs them. */
enum dns_status dns_peer_name(struct dns *d, struct pool *pool, const struct net_addr *peer,
	const char **name, const char **reverse, enum dns_status *reverse_status);
/* Parses a raw DNS message as dns_lookup would its answer: for tests and fuzzing. */
void dns_parse(
	struct pool *pool, struct str message, const char *name, enum dns_type type, struct dns_answer *out);

#endif
