/* Shared by the files of this folder. */
#ifndef TLS_INTERNAL_H
#define TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "base/mem.h"
#include "tls/tls.h"

struct tls_context {
	SSL_CTX *ssl;
	const EVP_MD *digest; /* of fingerprints */
};

/* The stream layer of one session. */
struct tls_session {
	SSL *ssl;
	struct pool *pool;
	struct tls_info info;
};

/* Sets err to the text, then the library's oldest reason, and empties the library's queue. Returns false. */
bool tls_error(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* ">=TLSv1.2", "!SSLv3 !TLSv1", "TLSv1.2 TLSv1.3": the versions that a context or session may use. */
bool tls_set_protocols(SSL_CTX *ctx, const char *list, struct err *err);
/* The cipher list with each member of exclude ("aNULL, MD5") ruled out. */
bool tls_set_ciphers(SSL_CTX *ctx, const char *list, const char *exclude, struct err *err);
/* Keys, each followed by its chain, in one or more PEM files. */
bool tls_load_chain_files(SSL_CTX *ctx, const char *files, struct err *err);
/* A certificate file with chain and its key file ("" or same file: the key is in it). */
bool tls_load_pair(SSL_CTX *ctx, const char *cert_file, const char *key_file, struct err *err);
/* Fills t->info after the handshake. */
void tls_describe(struct tls_session *t, const EVP_MD *digest, bool server);

#endif
