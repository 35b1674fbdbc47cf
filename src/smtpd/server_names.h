/* Keys by the name that a client asks for (tls_server_sni_maps). */
#ifndef SMTPD_SERVER_NAMES_H
#define SMTPD_SERVER_NAMES_H

#include "tls/tls.h"

/* For struct tls_names; session: the struct session. */
enum tls_name server_name_find(void *session, const char *name, struct buf *pem);

#endif
