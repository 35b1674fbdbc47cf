/*
 * Access control: who may do what. A check sees the facts of the session and gives its verdict and the reason
 * as a value; evaluating a stage gives one outcome and the trace of every step that led to it.
 */
#ifndef SMTPD_ACCESS_H
#define SMTPD_ACCESS_H

#include "rewrite/resolve.h"
#include "smtpd/effects.h"
#include "smtpd/rules.h"

struct session;

struct refusal {
	int code;
	char status[12];
	const char *text; /* reply text without code and status */
	unsigned classes; /* enum notice_class: what the postmaster may want to hear of; 0: NOTICE_POLICY */
};

enum verdict {
	VERDICT_DUNNO,		 /* no opinion: the next rule decides */
	VERDICT_PERMIT,		 /* this list says yes */
	VERDICT_REFUSE,		 /* refusal says how */
	VERDICT_DEFER_IF_PERMIT, /* goes on; an accept in the end becomes this refusal */
	VERDICT_DEFER_IF_REJECT	 /* goes on; a permanent refusal in the end becomes this one */
};

struct answer {
	enum verdict verdict;
	struct refusal refusal;
};

/* A deferral that waits for the outcome. */
struct deferral {
	bool active;
	struct refusal refusal;
};

struct trace_step {
	const char *list, *rule, *argument;
	enum verdict verdict;
	const char *reason; /* reply, or NULL */
};

/* One evaluation. */
struct access {
	struct session *session;
	enum access_stage stage;	    /* of the list under evaluation */
	enum access_stage stage_of_command; /* why there is an evaluation at all */
	const char *where;		    /* command for the log: "RCPT" */
	const char *sender;		    /* internal form, NULL before MAIL */
	const char *recipient;		    /* RCPT and VRFY; NULL otherwise */
	const char *etrn_domain;
	struct pool *pool; /* as long as the command */
	/* what the replies call the thing under test */
	const char *subject;
	const char *subject_class;
	bool warn; /* warn_if_reject before this rule */
	int depth;
	bool recipient_checked, sender_checked;
	bool silent;	    /* permit actions are not logged */
	bool policy_failed; /* the default action of a policy service is under way */
	struct deferral if_permit, if_reject;
	struct refusal refusal;
	struct effects effects;
	/* the recipient's (or sender's) resolution, once asked for */
	enum table_status resolve_status;
	struct resolved *resolved;
	struct trace_step *trace;
	size_t trace_count, trace_cap;
};

/* Each returns true: go on; false: refused, *refusal says how, and the event is logged. */
bool access_client(struct session *s, const char *where, struct refusal *refusal);
bool access_helo(struct session *s, const char *verb, const char *name, struct refusal *refusal);
bool access_mail(struct session *s, const char *sender, struct refusal *refusal);
bool access_rcpt(struct session *s, const char *where, const char *recipient, struct refusal *refusal);
#define AFTER_MESSAGE "END-OF-MESSAGE" /* where a session is once the content is there */

bool access_data(struct session *s, const char *where, struct refusal *refusal);
bool access_end_of_data(struct session *s, struct refusal *refusal);
bool access_etrn(struct session *s, const char *domain, struct refusal *refusal);
/* local_header_rewrite_clients: whether the client's headers are rewritten in the local context. */
bool access_local_rewrite(struct session *s);

/* ---- for the checks (access_*.c) */
const struct restriction *access_find(struct str name);
/* What a table alone stands for in a list of the stage; NULL: it may not stand alone. */
const struct restriction *access_table_check(enum access_stage stage);
const char *access_stage_class(enum access_stage stage); /* "Sender address" */
/* Runs a list: VERDICT_DUNNO, _PERMIT or _REFUSE (a->refusal). */
enum verdict access_list(struct access *a, const struct rule_list *list);
void answer_refuse(struct access *a, struct answer *out, enum verdict verdict, int code, const char *status,
	const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* reject_tempfail_action and its likes: "defer" or "defer_if_permit". */
enum verdict access_tempfail_verdict(const char *action);
/* Resolves address once per evaluation for recipients; NULL with an answer set when the tables are out of
 * order. */
const struct resolved *access_resolve(struct access *a, const char *address, struct answer *out);
void access_log(struct access *a, const char *action, const char *text);
/* smtpd_log_access_permit_actions; table: where the action was found, or NULL. */
void access_log_permit(struct access *a, const char *action, const char *subject_class, const char *subject,
	const char *table);
/* The same for a rule that permits by itself. */
void access_log_permitted(struct access *a, const struct rule *rule);

/* ---- the checks of each file, referred to by the table in access_table.c */
typedef void access_check(const struct rule *rule, struct access *a, struct answer *out);
access_check check_permit, check_reject, check_defer, check_defer_if_permit, check_defer_if_reject,
	check_sleep, check_plaintext, check_pipelining, check_multi_recipient_bounce;
access_check check_mynetworks, check_inet_interfaces, check_sasl_authenticated, check_unknown_client,
	check_unknown_reverse_client, check_client_access, check_address_map, check_reverse_client_access;
access_check check_invalid_helo, check_non_fqdn_helo, check_unknown_helo, check_naked_address,
	check_helo_access;
access_check check_non_fqdn_sender, check_unknown_sender_domain, check_unlisted_sender, check_sender_access;
access_check check_non_fqdn_recipient, check_unknown_recipient_domain, check_unlisted_recipient,
	check_recipient_access, check_auth_destination, check_unauth_destination, check_relay_domains;
access_check check_etrn_access, check_sender_login, check_trusted_certificate, check_known_certificate,
	check_certificate_access;
access_check check_hosts_access, check_mx_backup, check_policy, check_unverified_sender,
	check_unverified_recipient;
access_check check_rbl_client, check_maps_rbl, check_rhsbl_client, check_rhsbl_reverse_client,
	check_rhsbl_helo, check_rhsbl_sender, check_rhsbl_recipient, check_dnswl_client, check_rhswl_client;

/* Variants of check_hosts_access: whose hosts, and which. */
enum { HOSTS_MX, HOSTS_NS, HOSTS_A, HOSTS_KIND = 3, HOSTS_SHIFT = 2 };
enum { HOSTS_OF_CLIENT, HOSTS_OF_REVERSE_CLIENT, HOSTS_OF_HELO, HOSTS_OF_SENDER, HOSTS_OF_RECIPIENT };
/* Variants of check_sender_login: for whom it is, and whether for owned addresses only. */
enum { LOGIN_KNOWN = 1, LOGIN_UNKNOWN = 2, LOGIN_OWNED = 4 };

/* access_result.c: a code of the "address" class (RFC 3463) says whose address is meant; makes it one for the
 * subject of the reply. */
void access_map_status(char status[12], const char *subject_class, int code);
/* access_result.c: acts on what an access(5) table gave for key. */
void access_result(struct access *a, const struct rule *rule, const char *key, const char *value,
	const char *subject, const char *subject_class, struct answer *out);
/* access_hosts.c: turns OK into a refusal: what the rule looked at is nobody's word to be let in on. */
void access_forbid_permit(
	const struct rule *rule, struct access *a, const char *subject, struct answer *out, const char *text);
/* access_lookup.c: the lookup orders of access(5). found: the value was acted on, *out is set. */
bool access_lookup_name(struct access *a, const struct rule *rule, const char *name, const char *subject,
	const char *subject_class, struct answer *out);
bool access_lookup_address(struct access *a, const struct rule *rule, const char *address,
	const char *subject, const char *subject_class, struct answer *out);
bool access_lookup_mail(struct access *a, const struct rule *rule, const char *address, const char *subject,
	const char *subject_class, struct answer *out);
bool access_lookup_key(struct access *a, const struct rule *rule, const char *key, const char *subject,
	const char *subject_class, struct answer *out);

#endif
