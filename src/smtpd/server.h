/*
 * What all sessions of one SMTP service share: configuration, lists, tables, restrictions, the way into the
 * spool. Made once before the jail, then const; its members are safe to use from several threads.
 */
#ifndef SMTPD_SERVER_H
#define SMTPD_SERVER_H

#include "base/hash.h"
#include "cleanup/cleanup.h"
#include "config/config.h"
#include "dns/dns_filter.h"
#include "rewrite/resolve.h"
#include "service/service.h"
#include "smtpd/expansion.h"
#include "smtpd/holds.h"
#include "smtpd/limits.h"
#include "smtpd/rules.h"
#include "tls/tls.h"
#include "verify/verify.h"

/* EHLO keywords that can be left out (smtpd_discard_ehlo_keywords); names are in ehlo.c. */
enum {
	EHLO_PIPELINING = 1 << 0,
	EHLO_SIZE = 1 << 1,
	EHLO_VRFY = 1 << 2,
	EHLO_ETRN = 1 << 3,
	EHLO_STARTTLS = 1 << 4,
	EHLO_AUTH = 1 << 5,
	EHLO_XVERP = 1 << 6,
	EHLO_XCLIENT = 1 << 7,
	EHLO_XFORWARD = 1 << 8,
	EHLO_STATUS_CODES = 1 << 9,
	EHLO_8BITMIME = 1 << 10,
	EHLO_DSN = 1 << 11,
	EHLO_SMTPUTF8 = 1 << 12,
	EHLO_CHUNKING = 1 << 13,
	EHLO_SILENT_DISCARD = 1 << 14
};

enum tls_level { TLS_OFF, TLS_OFFERED, TLS_REQUIRED };

/* How content lines that end in a bare LF are taken (smtpd_forbid_bare_newline). */
enum bare_newline { BARE_ALLOWED, BARE_NORMALIZED, BARE_REJECTED };

/* A match list that could not be opened answers TABLE_MISCONFIGURED and says why at each use. */
struct named_list {
	const char *parameter;
	struct matchlist *list; /* NULL: empty, or broken when error is set */
	const char *error;
};

struct sasl_server;

struct server {
	struct service *service; /* NULL in tests */
	struct slots *slots;
	const struct config *cfg;
	struct pool *pool; /* as long as the server */
	struct spool *spool;
	struct resolver *resolver;
	struct queue_notifier *notifier;
	struct cleanup_env *cleanup;
	struct verify *verify;		    /* what is known of addresses */
	struct dns *dns;		    /* origin of the slots' resolvers; NULL: none could be made */
	const char *banner, *stress_banner; /* smtpd_banner, expanded; under overload */
	struct tls_context *tls;     /* NULL: no TLS, or, where tls_level says otherwise, trouble with it */
	struct maps *tls_names;	     /* keys by server name; NULL: none */
	struct tls_cache *tls_cache; /* sessions of clients without tickets; NULL: none */
	enum tls_level tls_level;
	bool tls_demands_certificate; /* of clients, and that it is trusted */
	bool standalone;	      /* sendmail -bs: no access control, mail goes to postdrop */
	bool sasl;		      /* smtpd_sasl_auth_enable */
	enum bare_newline bare_newline;
	unsigned notices;      /* notify_classes, as enum notice_class; the stand-alone server sends none */
	unsigned ehlo_discard; /* EHLO_ bits for clients without an entry of their own */
	struct maps *ehlo_discard_maps;
	struct maps *command_filter;
	struct dns_filter dns_filter; /* of what access control asks about names and lists */
	struct milter_set *milters;   /* smtpd_milters; NULL: this service has none */
	struct maps *milter_maps;
	struct maps *reject_filter, *reject_footers, *rbl_replies, *sender_logins, *relay_clientcerts,
		*sender_canonical;
	struct named_list mynetworks, xclient_hosts, xforward_hosts, sasl_exceptions, bare_exclusions;
	struct named_list sasl_mechanisms, log_permits, debug_peers;
	struct named_list forbidden_commands, noop_commands, fast_flush_domains, mx_backup_networks,
		verp_clients, limit_exceptions;
	struct expansion_filter expansion_filter;
	struct limits limits; /* table NULL: nothing is counted */
	struct holds holds;
	_Atomic int64_t next_reclaim; /* clock_mono() */
	struct rules_env rules;
	_Atomic uint64_t proxy_files;	/* made so far, for their names */
	_Atomic uint64_t policy_owners; /* messages that policy servers were asked about */
	struct rule_list restrictions[STAGE_COUNT];
	struct rule_list relay_restrictions;
	struct rule_list local_rewrite_clients;
};

/* What a slot keeps between tasks. */
struct smtpd_slot {
	struct dns *dns;	  /* made when first needed; NULL until then */
	struct sasl_server *sasl; /* likewise */
	struct server *server;
};

struct server *server_new(const struct config *cfg, struct spool *spool, struct err *err);
/* For stand-alone mode: only what a session itself needs. */
struct server *server_standalone(const struct config *cfg);
void server_free(struct server **server);
/* smtpd_banner as that configuration has it, in the server's pool. */
const char *server_banner(struct server *v, const struct config *cfg);
/* FOUND, NOT_FOUND, or trouble with err. */
enum table_status named_list_host(
	const struct named_list *l, const char *name, const char *address, struct err *err);
enum table_status named_list_name(const struct named_list *l, struct str name, struct err *err);
bool named_list_has(const struct named_list *l, struct str name); /* trouble is logged, and means no */
/* The slot's resolver; NULL with a warning logged when there is none. */
struct dns *smtpd_slot_dns(struct smtpd_slot *slot);

#endif
