/*
 * Access control rules: the parsed form of a restriction list. A rule is a row of the restriction table
 * (access.c) with its argument, a restriction class, or an error that is reported when the rule is reached
 * (451 4.3.5), never skipped.
 */
#ifndef SMTPD_RULES_H
#define SMTPD_RULES_H

#include "base/hash.h"
#include "base/mem.h"
#include "config/config.h"
#include "policy/policy.h"
#include "table/table.h"

enum access_stage {
	STAGE_CLIENT,
	STAGE_HELO,
	STAGE_MAIL,
	STAGE_RCPT,
	STAGE_DATA,
	STAGE_END_OF_DATA,
	STAGE_ETRN,
	STAGE_COUNT
};

struct access;
struct answer;
struct rule;

enum rule_argument {
	ARG_NONE,
	ARG_TABLE,	       /* type:table */
	ARG_CERTIFICATE_TABLE, /* the same, or in braces with { search_order = ... } */
	ARG_SECONDS,
	ARG_WORD,  /* a DNS list */
	ARG_POLICY /* a policy service */
};

struct restriction {
	const char *name;
	void (*check)(const struct rule *rule, struct access *a, struct answer *out);
	enum rule_argument argument;
	int variant;   /* for checks that serve several rows */
	bool final_no; /* counts as the control that refuses unauthorised relaying */
};

/* What of a client's certificate a table is asked about. */
enum certificate_key { CERTIFICATE_KEY_NONE, CERTIFICATE_FINGERPRINT, PUBLIC_KEY_FINGERPRINT };
#define CERTIFICATE_KEYS 2

struct rule_list {
	const char *parameter; /* where it is from, for messages */
	struct rule *rules;
	size_t count;
};

struct rule {
	const struct restriction *row;	    /* NULL: class or error */
	const struct rule_list *class_list; /* restriction class */
	const char *name;
	const char *argument;			       /* text of the argument, or NULL */
	struct table *table;			       /* ARG_TABLE */
	enum certificate_key search[CERTIFICATE_KEYS]; /* ARG_CERTIFICATE_TABLE, in this order */
	struct policy_client *policy;		       /* ARG_POLICY */
	int seconds;
	const char *error; /* why the rule cannot be used */
};

/* Tables and policy services opened once per specification, and the restriction classes. */
struct rules_env {
	const struct config *cfg;
	struct pool *pool;
	struct hash *tables;
	struct hash *policies; /* struct policy_client */
	struct hash *classes; /* STAGE_COUNT struct rule_list by name: a class means what the list using it is
				 for */
	bool sealed;	      /* no more tables and services are opened: after the start */
};

void rules_env_init(struct rules_env *env, const struct config *cfg, struct pool *pool);
void rules_env_free(struct rules_env *env);
/* Calls act for every policy service. */
void rules_each_policy(
	const struct rules_env *env, void (*act)(struct policy_client *client, void *arg), void *arg);
/* Parses the lists that smtpd_restriction_classes names. */
void rules_parse_classes(struct rules_env *env);
/* Parses a list; strings and rules are made in the pool. Bare type:table names mean the stage's
 * check_*_access. */
void rules_parse(struct rules_env *env, struct pool *pool, const char *parameter, const char *text,
	enum access_stage stage, struct rule_list *out);
/* Whether some rule of the list, or of a class in it, refuses what is not authorised. */
bool rules_refuse_relaying(const struct rule_list *list);

#endif
