/* The milters of a session (smtpd_milters): what they are told, and what becomes of what they decide. A
 * session without milters costs one comparison for each event. */
#ifndef SMTPD_FILTERS_H
#define SMTPD_FILTERS_H

#include "base/str.h"

struct session;
struct refusal;
struct milters;

/* Begins with those that are for this client, unless it has begun. false: they refuse the client, and the
 * greeting says so. */
bool filters_connect(struct session *s, const char *where);
/* Says goodbye; what was begun is over. */
void filters_free(struct session *s);
/* NULL: there are none. */
struct milters *filters_milters(struct session *s);
/* false: the reply is made. *reduced: mail of this client will be refused, so nothing needs to be offered. */
bool filters_helo(struct session *s, const char *verb, bool *reduced);
/* path and parameters as the client said them. false: refused, the reply is made. */
bool filters_mail(struct session *s, struct str path, struct str parameters);
bool filters_rcpt(struct session *s, const char *recipient, struct str path, struct str parameters);
/* We refused it ourselves. */
void filters_rcpt_refused(
	struct session *s, const struct refusal *refusal, struct str path, struct str parameters);
/* The reply that refuses the message before its content, or NULL. Until the next event. */
const char *filters_data(struct session *s, const char *where);
/* A command that is not known or not to be had. false: the reply is made. */
bool filters_unknown(struct session *s, struct str line);
/* The transaction is over. */
void filters_abort(struct session *s);

#endif
