/* SASL for the server (RFC 4954) by plug-in type: "dovecot" (auth protocol over its socket) and, later,
 * "cyrus". One exchange per struct. */
#ifndef SASL_SASL_SERVER_H
#define SASL_SASL_SERVER_H

#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"

enum sasl_status {
	SASL_OK,       /* username is set */
	SASL_CONTINUE, /* send 334 with `reply` (base64), read the answer */
	SASL_FAIL,     /* 535: a verdict about the credentials */
	SASL_TEMPFAIL, /* 454: the server is out of reach or said so */
	SASL_INVALID   /* mechanism not offered, or malformed base64 */
};

struct sasl_peer {
	const char *service;			     /* "smtp" */
	const char *client_address, *server_address; /* printed; may be NULL */
	int client_port, server_port;
	bool tls;
};

struct sasl_server;
/* Connects to the back end and reads its mechanisms; NULL with err: not available. timeouts in seconds. */
struct sasl_server *sasl_server_new(const char *type, const char *path, const struct sasl_peer *peer,
	const char *security_options, int timeout, struct err *err);
void sasl_server_free(struct sasl_server **s);
/* Makes a server that is between exchanges ready for another session; the link to the back end stays. Its
 * mechanisms are chosen anew. */
bool sasl_server_serve(
	struct sasl_server *s, const struct sasl_peer *peer, const char *security_options, struct err *err);
const char *sasl_mechanisms(const struct sasl_server *s); /* "PLAIN LOGIN", allowed ones only */
/* A link that was lost is made again by the next sasl_start; the exchange that met the loss ends with
 * SASL_TEMPFAIL. initial: base64 text of the initial response, {NULL,0} when there is none. reply gets the
 * base64 challenge or the reason of a failure. */
enum sasl_status sasl_start(
	struct sasl_server *s, const char *mechanism, struct str initial, struct buf *reply);
enum sasl_status sasl_step(struct sasl_server *s, struct str response, struct buf *reply);
const char *sasl_username(const struct sasl_server
		*s); /* after SASL_OK; after SASL_FAIL the name that was tried, if known; else NULL */
const char *sasl_mechanism(const struct sasl_server *s);

#endif
