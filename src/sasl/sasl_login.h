/*
 * SASL for clients (RFC 4954) over Cyrus libsasl2, whose plug-ins decide which mechanisms there are. The
 * library has state of its own for the whole process, made by sasl_login_open before threads and chroot; one
 * exchange per struct.
 */
#ifndef SASL_SASL_LOGIN_H
#define SASL_SASL_LOGIN_H

#include "base/buf.h"
#include "base/err.h"

bool sasl_login_open(struct err *err);

struct sasl_credentials {
	const char *service; /* "smtp", "lmtp" */
	const char *host;    /* server's name */
	const char *user, *password;
	const char *security_options; /* "noplaintext, noanonymous" */
};

struct sasl_login;
struct sasl_login *sasl_login_new(const struct sasl_credentials *login, struct err *err);
void sasl_login_free(struct sasl_login **c); /* wipes the password */
/*
 * Chooses from the mechanisms that the server offers ("PLAIN LOGIN"). *mechanism lives as long as c.
 * has_initial: response has the initial response in base64, "" when it is empty. false: none will do, or the
 * library failed.
 */
bool sasl_login_begin(struct sasl_login *c, const char *offered, const char **mechanism, struct buf *response,
	bool *has_initial, struct err *err);
/* challenge and response in base64. false: malformed challenge, or the library refuses. */
bool sasl_login_answer(struct sasl_login *c, struct str challenge, struct buf *response, struct err *err);

#endif
