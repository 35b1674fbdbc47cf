/* smtpd_client_*_limit: each call counts, and refuses with a reply and a line in the log. */
#ifndef SMTPD_CLIENT_LIMITS_H
#define SMTPD_CLIENT_LIMITS_H

#include "smtpd/limits.h"

struct server;
struct session;

/* A connection begins; false: it ends with 421. */
bool client_limits_connect(struct session *s);
void client_limits_disconnect(struct session *s);
/* Connections of processes that died count no more. */
void client_limits_reclaim(struct server *server);
/* One more message, recipient or AUTH; false: refused for now. */
bool client_limits_allow(struct session *s, enum limit_event event);
/* Whether one more TLS session is for free; whether it counts is known after the handshake:
 * client_limits_new_tls. */
bool client_limits_allow_tls(struct session *s);
void client_limits_new_tls(struct session *s);

#endif
