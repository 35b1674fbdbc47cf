/* TLS in a session: STARTTLS and implicit TLS. */
#ifndef SMTPD_TLS_OFFER_H
#define SMTPD_TLS_OFFER_H

#include <stdbool.h>

struct session;

/* Whether STARTTLS is to be had now. */
bool tls_can_start(const struct session *s);
/* The handshake, logged. false: the connection is of no more use. */
bool tls_start(struct session *s);
/* After it: what the service demands of a client's certificate and this one is not, logged; NULL when all is
 * well. The client is told, and the session ends. */
const char *tls_client_fault(struct session *s);

#endif
