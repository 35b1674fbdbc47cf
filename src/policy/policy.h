/*
 * A policy server of the operator (SMTPD_POLICY_README): its options, the connections to it, questions.
 *
 * Connections are kept and used again. All requests about one message go over one connection, as long as the
 * server keeps it and there are enough of them: a server may remember what it was asked before.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "policy/policy_protocol.h"

/* What stands for an answer when there is none, and default_action says no other. */
#define POLICY_DEFAULT_ACTION "451 4.3.5 Server configuration problem"

struct policy_options {
	const char *endpoint;	    /* "inet:host:port", "unix:path" */
	const char *default_action; /* stands for the answer when there is none */
	const char *context;	    /* sent as policy_context */
	int timeout;		    /* seconds: to connect, and for one request and its answer */
	int max_idle;		    /* seconds until an unused connection is closed */
	int max_ttl;		    /* seconds until any connection is */
	int request_limit;	    /* requests over one connection; 0: any number */
	int try_limit;		    /* tries of one request */
	int retry_delay;	    /* seconds between them */
};

/*
 * "inet:host:port", or a list in braces: the endpoint, then settings "name=value" or "{ name = value }" that
 * take the place of the defaults. Texts are made in the pool. false: err says what is wrong.
 */
bool policy_options_parse(struct str text, const struct policy_options *defaults, struct pool *pool,
	struct policy_options *out, struct err *err);

/* Used by many threads. */
struct policy_client;
struct policy_client *policy_client_new(const struct policy_options *options); /* its texts live as long */
void policy_client_free(struct policy_client **client);			       /* NULL allowed */
const struct policy_options *policy_client_options(const struct policy_client *client);
/* How many connections there may be at most: as many as there are threads that ask. */
void policy_client_limit(struct policy_client *client, int connections);
/*
 * Asks, with as many tries as the options allow; request is attributes without the empty line. owner: what is
 * asked about, the same number for all requests about one message; 0: nothing in particular. false: no
 * answer, err says why. Waits for the server, so only for threads that may.
 */
bool policy_ask(struct policy_client *client, uint64_t owner, struct str request, struct buf *action,
	struct err *err);
/* No more will be asked about owner. */
void policy_client_forget(struct policy_client *client, uint64_t owner);
/* Closes connections that have not been used for too long; does not wait. */
void policy_client_tidy(struct policy_client *client);

#endif
