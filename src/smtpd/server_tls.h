/* The TLS settings of a service. */
#ifndef SMTPD_SERVER_TLS_H
#define SMTPD_SERVER_TLS_H

struct server;

/* Fills the server's tls_level and tls. Keys are read here. TLS that cannot be had is warned of; clients that
 * ask for it are told. */
void server_tls_open(struct server *v);

#endif
