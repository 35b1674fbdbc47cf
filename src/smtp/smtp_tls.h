/* TLS towards servers: what is demanded of a destination, and how it is begun. */
#ifndef SMTP_TLS_H
#define SMTP_TLS_H

#include "smtp/smtp.h"
#include "smtp/smtp_destination.h"
#include "tls/tls.h"

/* Security levels of the manuals; each demands what the ones before it do. */
enum smtp_tls_level {
	SMTP_TLS_NONE,
	SMTP_TLS_MAY,
	SMTP_TLS_ENCRYPT,
	SMTP_TLS_DANE,
	SMTP_TLS_DANE_ONLY,
	SMTP_TLS_FINGERPRINT,
	SMTP_TLS_VERIFY,
	SMTP_TLS_SECURE
};

/* Words of smtp_tls_per_site; each overrides the ones before it. */
enum smtp_tls_site { SMTP_SITE_UNKNOWN, SMTP_SITE_MAY, SMTP_SITE_NONE, SMTP_SITE_ENCRYPT, SMTP_SITE_VERIFY };

/* For one destination. Strings live as long as the delivery or the configuration. */
struct smtp_tls_policy {
	enum smtp_tls_level level;
	enum smtp_tls_site site; /* found so far */
	const char *protocols, *grade, *exclude;
	struct {
		bool protocols, grade, exclude, servername;
	} said;		   /* by the table, for any level that the policy comes to */
	const char *match; /* strategies, names or fingerprints, separated by blanks, commas, colons ('|' for
			      fingerprints) */
	const char *anchor_files; /* tafile, separated by blanks; "": those of main.cf */
	const char *servername;	  /* "", "hostname", "nexthop" or a name */
	const char *nexthop;	  /* name for certificates */
	bool forgeable; /* the host's name is not from a validated answer, whatever its records prove */
	const char *tlsa_base; /* DANE decides, by these records; NULL: it does not */
	const struct tls_tlsa *tlsa;
	size_t tlsa_count;
};

#define SMTP_TLS_PRINTS " \t\r\n,|" /* between fingerprints */

/* Reads the configuration: context and default level of the client; before privileges drop. */
bool smtp_tls_open(struct smtp_client *c, struct err *err);
/* The policy for a destination as its text says it. false: *why; mail waits rather than go out with less than
 * was demanded. */
bool smtp_tls_policy(struct smtp_delivery *d, struct str text, const struct smtp_destination *to,
	struct smtp_tls_policy *out, struct dsn **why);
/* Sets the level, with main.cf's settings for it where the table says nothing. */
void smtp_tls_set_level(
	const struct config *cfg, struct pool *pool, struct smtp_tls_policy *p, enum smtp_tls_level level);
/* What dane means without DNSSEC, and any level with implicit TLS. */
void smtp_tls_adjust(struct smtp_delivery *d, struct smtp_tls_policy *p);
/* What smtp_tls_per_site says of the next hop as written or of a host's name, on top of what it said before.
 * false: *why. */
bool smtp_tls_site(struct smtp_delivery *d, const char *name, struct smtp_tls_policy *p, struct dsn **why);
struct smtp_host;
/* What levels dane and dane-only mean for this host, by its TLSA records; other levels stay. mx_secure: its
 * name came from a validated answer. host NULL: a UNIX socket. false: the host cannot be used now, *why says
 * it. */
bool smtp_dane(struct smtp_delivery *d, const struct smtp_host *host, bool mx_secure,
	struct smtp_tls_policy *p, struct dsn **why);
/* Everything that tells apart connections to `host` (NULL: any) under this policy, in pool. */
const char *smtp_tls_key(struct pool *pool, const struct smtp_tls_policy *p, const char *host);
/* The handshake, and whether the certificate will do. */
enum smtp_tls_end { SMTP_TLS_OK, SMTP_TLS_HANDSHAKE, SMTP_TLS_UNVERIFIED };
enum smtp_tls_end smtp_tls_begin(
	struct smtp_session *s, struct pool *pool, const struct smtp_tls_policy *p, struct dsn **why);

#endif
