/* The TLS settings of a service. */
#ifndef SMTPD_SERVER_TLS_H
#define SMTPD_SERVER_TLS_H

#include "base/err.h"

struct server;

/* Fills the server's tls_level and tls. Keys are read here. false: TLS is required and cannot be had. */
bool server_tls_open(struct server *v, struct err *err);

#endif
