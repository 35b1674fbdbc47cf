/*
 * The SMTP and LMTP client: destination -> list of hosts -> session -> transaction for the recipients of one
 * request. What a struct here is for is said beside it; each lives as long as the thing it is named after.
 */
#ifndef SMTP_SMTP_H
#define SMTP_SMTP_H

#include "bounce/notice.h"
#include "dns/dns_filter.h"
#include "mail/smtp_text.h"
#include "rewrite/own_address.h"
#include "rewrite/resolve.h"
#include "service/agent.h"
#include "table/table.h"

struct cache_file;
struct smtp_cache;
struct smtp_notices;
struct smtp_checks;

/* What all deliveries of the process share. Const once the service runs; the cache locks inside. */
struct smtp_client {
	struct service *service;
	const struct config *cfg;
	bool lmtp;
	bool want_v4, want_v6;		  /* inet_protocols */
	bool lookup_mx;			  /* disable_dns_lookups, smtp_dns_support_level */
	bool lookup_dns, lookup_native;	  /* smtp_host_lookup */
	int short_names;		  /* DNS_APPEND_DOMAIN, DNS_SEARCH_PARENTS */
	uint16_t port;			  /* smtp_tcp_port */
	int discard;			  /* FEATURE_ bits of smtp_discard_ehlo_keywords */
	struct net_addr source4, source6; /* len 0: none */
	struct dns *dns;		  /* slots have clones of it */
	struct own_addresses *own;	  /* hosts with them bring mail back to us */
	struct maps *discard_maps;
	struct matchlist *cache_destinations;
	struct tls_context *tls;     /* NULL: TLS is not used */
	struct tls_cache *tls_cache; /* NULL: sessions are not kept */
	int tls_level;		     /* enum smtp_tls_level by main.cf */
	struct maps *tls_policies;
	struct maps *tls_sites;		    /* smtp_tls_per_site; NULL: it does not count */
	struct maps *passwords;		    /* NULL: no logins */
	struct cache_file *login_cache;	    /* refused logins; NULL: none are kept */
	struct matchlist *mechanism_filter; /* NULL: any */
	struct maps *generic;		    /* NULL: addresses go out as they are */
	bool generic_extensions;	    /* propagate_unmatched_extensions */
	struct resolver *resolver;	    /* for generic */
	struct smtp_checks *checks;	    /* NULL: no tables look at content */
	struct dns_filter dns_filter;
	struct maps *status_filter; /* of outcomes */
	struct maps *pix_maps;
	struct table *reply_filter; /* NULL: replies are taken as they come */
	struct smtp_cache *cache;
	struct matchlist *debug_peers; /* NULL: none */
	struct smtp_notices *notices;  /* NULL: the postmaster is told nothing */
};

/* What a server announced in its answer to EHLO or LHLO. */
enum {
	FEATURE_ESMTP = 1,
	FEATURE_8BITMIME = 2,
	FEATURE_PIPELINING = 4,
	FEATURE_SIZE = 8,
	FEATURE_DSN = 16,
	FEATURE_SMTPUTF8 = 32,
	FEATURE_STARTTLS = 64,
	FEATURE_AUTH = 128,
	FEATURE_XFORWARD = 256,
	FEATURE_ENHANCED = 512,		/* ENHANCEDSTATUSCODES */
	FEATURE_DISCARD_SILENTLY = 1024 /* no keyword: a word of smtp_discard_ehlo_keywords */
};

/* One connection to a server, used for one delivery after another. */
struct smtp_session {
	struct smtp_client *client;
	struct pool *pool;
	struct stream *stream;
	const char *host;	 /* name, without address */
	const char *label;	 /* "host[address]" */
	const char *relay;	 /* "host[address]:port" */
	const char *address_key; /* everything that makes two connections different */
	const char *nexthop_key; /* likewise, for the next hop it was made for; NULL: not to be found by it */
	int features;
	uint64_t size_limit;	/* 0: none announced */
	const char *mechanisms; /* of AUTH, separated by blanks; "" none */
	int xforward;		/* attributes that XFORWARD takes */
	int pix;		/* PIX_ bits */
	bool verified;		/* over TLS, with a server that is proved to be the one that was demanded */
	bool logged_in;
	int64_t made;		      /* clock_mono() */
	int uses;		      /* transactions begun */
	bool detect_loop;	      /* the server must not be ourselves */
	bool best;		      /* no host of the destination is preferred to it */
	const char *qid;	      /* of the message under way, for the log */
	bool failed;		      /* no more talking: lost, timed out or out of step */
	bool leaving;		      /* 421: it takes no further message */
	bool warned_stray;	      /* of a line that belonged to no reply */
	bool timed_out;		      /* why */
	bool table_failed;	      /* why: the table of smtp_reply_filter */
	struct transcript transcript; /* while there are notices */
	int debug_level;	      /* debug_peer_level for those in debug_peer_list; 0: as usual */
	bool out_of_protocol;	      /* the server's answers are worth a notice */
	struct smtp_idle *idle;	      /* its place in the cache while it waits there */
};

enum recipient_progress { PROGRESS_OPEN, PROGRESS_ACCEPTED, PROGRESS_REFUSED };

/* One delivery request. */
struct smtp_delivery {
	struct smtp_client *client;
	struct agent_delivery *agent;
	const struct delivery_request *request;
	struct pool *pool;
	struct dns *dns;		   /* the slot's */
	bool utf8;			   /* SMTPUTF8 is needed to send it */
	bool last_host;			   /* no further host will be tried: failures are outcomes */
	int sessions;			   /* that got through the greeting */
	enum recipient_progress *progress; /* of the current transaction, by place in the request */
	size_t accepted;
	/* What happened last to recipients that are still undecided. */
	const struct dsn *why;
	const char *why_relay;
	int why_use;		  /* of the connection, as agent_outcome has it */
	bool why_trouble;	  /* the destination as a whole is in trouble */
	const struct dsn **whose; /* by place in the request: what was said of this one alone; NULL: `why` */
};

/* smtp_deliver.c */
void smtp_deliver(struct agent_delivery *agent);

#endif
