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
struct tls_versions {
	int low, high; /* 0: no limit */
	uint64_t off;  /* SSL_OP_NO_ bits */
};
bool tls_parse_protocols(const char *list, struct tls_versions *out, struct err *err);
bool tls_set_protocols(SSL_CTX *ctx, const char *list, struct err *err);
bool tls_set_session_protocols(SSL *ssl, const char *list, struct err *err);
/* The cipher list with each member of exclude ("aNULL, MD5") ruled out. */
bool tls_set_ciphers(SSL_CTX *ctx, const char *list, const char *exclude, struct err *err);
bool tls_set_session_ciphers(SSL *ssl, const char *list, const char *exclude, struct err *err);
/* What contexts of servers and clients have in common: modes, options, own certificate, authorities. */
void tls_set_behaviour(SSL_CTX *ctx);
bool tls_load_keys(SSL_CTX *ctx, const char *chain_files, const char *const pairs[4], struct err *err);
bool tls_load_authorities(SSL_CTX *ctx, const char *ca_file, const char *ca_path, struct err *err);
const EVP_MD *tls_find_digest(const char *name, struct err *err);
/* Keys, each followed by its chain, in one or more PEM files. */
bool tls_load_chain_files(SSL_CTX *ctx, const char *files, struct err *err);
/* A certificate file with chain and its key file ("" or same file: the key is in it). */
bool tls_load_pair(SSL_CTX *ctx, const char *cert_file, const char *key_file, struct err *err);
/* Makes the session over the stream's descriptor; tls_handshake does the rest and puts it in place, or frees
 * it. */
struct tls_session *tls_session_new(struct tls_context *c, const struct stream *s, struct err *err);
void tls_session_free(struct tls_session *t);
bool tls_handshake(struct stream *s, struct tls_session *t, struct err *err);
/* tls_client.c: before the handshake, and what became of it. */
bool tls_apply_rules(SSL *ssl, const struct tls_rules *rules, struct err *err);
bool tls_peer_matches(const struct tls_session *t, const EVP_MD *digest, const struct tls_rules *rules);
/* Fills t->info after the handshake. */
void tls_describe(struct tls_session *t, const EVP_MD *digest, bool server);

#endif
