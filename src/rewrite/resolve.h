/*
 * Address rewriting and resolving (ADDRESS_REWRITING, ADDRESS_CLASS): who an address is and where its mail
 * goes. Used by smtpd (access), cleanup (rewriting) and the queue manager (routing). A resolver may be used
 * from several threads.
 */
#ifndef REWRITE_RESOLVE_H
#define REWRITE_RESOLVE_H

#include "base/buf.h"
#include "base/mem.h"
#include "config/config.h"
#include "table/table.h"

enum address_class { CLASS_LOCAL, CLASS_VIRTUAL_ALIAS, CLASS_VIRTUAL_MAILBOX, CLASS_RELAY, CLASS_DEFAULT };
const char *address_class_name(enum address_class c); /* "virtual alias" */

struct resolved {
	enum address_class class;
	const char *transport; /* master.cf service name */
	const char *nexthop;
	const char *recipient; /* rewritten, internal form */
	bool error;  /* the address cannot be delivered; transport is "error", nexthop the text "5.1.3 ..." */
	bool routed; /* the local part names another host (@, !, %): allow_untrusted_routing decides */
};

struct resolver;
struct resolver *resolver_new(const struct config *cfg, struct err *err);
/* The same for address probes: the address_verify_* settings take the place of those that they override. */
struct resolver *resolver_new_for_probes(const struct config *cfg, struct err *err);
void resolver_free(struct resolver **r);
void resolver_warnings(
	const struct resolver *r, table_warn_fn warn, void *arg); /* what was wrong with its tables */
/* FOUND: *out is filled (strings in pool). RETRY, MISCONFIGURED: a table could not be asked. NOT_FOUND is
 * never returned. */
enum table_status resolve_address(struct resolver *r, const char *sender, const char *address,
	struct pool *pool, struct resolved *out, struct err *err);
/* What address_parse_path is to allow: PATH_NULL_DOMAIN and the like. */
int resolve_path_flags(const struct resolver *r);
/* Whether the address, once rewritten, has a form that mail can be delivered to, without asking where: false,
 * resolve_address would say `error`. */
bool resolve_is_deliverable(struct resolver *r, const char *address);
/* Canonical form: append_at_myorigin, append_dot_mydomain, ... local: local rewriting context, else
 * remote_header_rewrite_domain's. Internal forms. */
void rewrite_address(struct resolver *r, bool local, struct str address, struct buf *out);
/* The same for an address as it is written, where quotes tell what is a part of the name: "a%b" is nobody at
 * b.
 */
void rewrite_written(struct resolver *r, bool local, struct str written, struct buf *out);
/* Reports come from MAILER-DAEMON at myorigin; what else does is no more to be answered than they are: in
 * standard form, it is the null sender. */
bool rewrite_is_null_sender(const struct resolver *r, struct str sender);

struct recipient_check {
	enum table_status status; /* FOUND: exists or not listed; NOT_FOUND: unknown; RETRY */
	int code;		  /* reply code for NOT_FOUND: unknown_*_reject_code */
	const char *dsn;	  /* "5.1.1", of a recipient; lives as long as this struct */
	bool own_status;	  /* it is the error transport's, not what is usual for the case */
	const char *text; /* "User unknown in local recipient table"; lives as long as the struct resolved */
	char dsn_text[12];
};
/* Whether the recipient exists in its class's table (reject_unlisted_recipient). */
void resolve_check_recipient(
	struct resolver *r, const struct resolved *to, struct recipient_check *out, struct err *err);

/* Whether tables may list users of the domain without it: mydestination, our addresses, or myorigin. */
enum table_status resolve_is_bare_domain(struct resolver *r, struct str domain, struct err *err);
bool resolve_is_own_address(
	struct resolver *r, const char *printed_address); /* inet_interfaces, proxy_interfaces */

#endif
