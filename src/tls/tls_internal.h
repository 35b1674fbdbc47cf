/* Shared by the files of this folder. */
#ifndef TLS_INTERNAL_H
#define TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "base/mem.h"
#include "tls/tls.h"
#include "tls/tls_cache.h"

#define TLS_IDENTITY 32		       /* bytes of a SHA-256 */
#define TLS_KEY_HEX (2 * TLS_IDENTITY) /* characters of one as text */

struct tls_context {
	SSL_CTX *ssl;
	const EVP_MD *digest;		      /* of fingerprints */
	struct tls_cache *cache;	      /* the caller's; NULL: none */
	unsigned char identity[TLS_IDENTITY]; /* of everything that sessions of it depend on */
	struct tls_tickets *tickets;	      /* servers; NULL: none */
	bool wait_for_end;
	/* clients */
	unsigned wildcards;	     /* X509_CHECK_FLAG_ bits for names */
	uint8_t tlsa_sizes[256];     /* bytes of the data of a TLSA record, by matching type; 0: not listed */
	struct tls_anchors *anchors; /* NULL: the authorities decide */
};

/* The stream layer of one session. */
struct tls_session {
	SSL *ssl;
	struct pool *pool;
	struct tls_info info;
	const struct tls_names *names; /* servers: during the handshake */
	struct err name_trouble;
	struct tls_cache *cache; /* where a client's session is kept; NULL: nowhere */
	char key[TLS_KEY_HEX + 1];
	bool offered, young; /* a session was, and it is too young to be replaced by the next one */
	bool wait_for_end;
	bool judged;	    /* the handshake is done, and the server is what the rules demand */
	SSL_SESSION *fresh; /* to be kept if it is */
};

/* The library's oldest reason with the place in its source, "" without one; empties its queue. */
void tls_library_said(struct err *err);
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
/* tls_verify.c: a callback for the library, which keeps the first problem of the chain; the verdict stays. */
int tls_note_problem(int ok, X509_STORE_CTX *store);
bool tls_set_common(SSL_CTX *ctx, const struct tls_common *c, struct err *err);
#define TLS_PAIRS 3 /* certificate and key files: RSA or any, ECDSA, DSA */
bool tls_load_keys(
	SSL_CTX *ctx, const char *chain_files, const char *const pairs[2 * TLS_PAIRS], struct err *err);
bool tls_load_authorities(SSL_CTX *ctx, const char *ca_file, const char *ca_path, struct err *err);
const EVP_MD *tls_find_digest(const char *name, struct err *err);
/* Keys, each followed by its chain, in one or more PEM files. */
bool tls_load_chain_files(SSL_CTX *ctx, const char *files, struct err *err);
/* The same from memory, for one session; what: in messages. */
bool tls_use_chains(SSL *ssl, const char *what, struct str pem, struct err *err);
/* A certificate file with chain and its key file ("" or same file: the key is in it). */
bool tls_load_pair(SSL_CTX *ctx, const char *cert_file, const char *key_file, struct err *err);
/* Makes the session over the stream's descriptor; tls_handshake does the rest and puts it in place, or frees
 * it. */
struct tls_session *tls_session_new(struct tls_context *c, const struct stream *s, struct err *err);
void tls_session_free(struct tls_session *t);
bool tls_handshake(struct stream *s, struct tls_session *t, struct tls_failure *why);
/* tls_client.c: before the handshake, and what became of it. */
bool tls_demanding(const struct tls_rules *rules); /* the certificate decides */
bool tls_apply_rules(SSL *ssl, const struct tls_context *c, const struct tls_rules *rules, struct err *err);
bool tls_peer_matches(
	const struct tls_session *t, const struct tls_context *c, const struct tls_rules *rules);
/* tls_digests.c */
bool tls_set_digests(struct tls_context *c, const char *list, struct err *err);
/* tls_anchors.c: bound by one handshake. */
bool tls_anchors_apply(SSL *ssl, const struct tls_anchors *a, struct err *err);
void tls_identity_anchors(EVP_MD_CTX *md, const struct tls_anchors *a); /* NULL: none */
/* tls_resume.c: a client's sessions. tls_resume_offer: before the handshake, once the rules apply. _settle:
 * after it; the session is kept if the server may be taken for what the rules demand. _failed: the handshake
 * failed. */
bool tls_resume_enable(struct tls_context *c, const struct tls_client_options *o, struct err *err);
void tls_resume_offer(struct tls_session *t, struct tls_context *c, const struct tls_rules *rules);
void tls_resume_settle(struct tls_session *t, bool worthy);
void tls_resume_failed(struct tls_session *t);
/* tls_tickets.c: a server's. */
bool tls_tickets_enable(struct tls_context *c, const struct tls_server_options *o, struct err *err);
void tls_tickets_free(struct tls_tickets **tickets);
/* tls_identity.c: hashes that tell sessions apart. Every item is added with its length. */
EVP_MD_CTX *tls_identity_begin(void);
void tls_identity_bytes(EVP_MD_CTX *md, const void *data, size_t n);
void tls_identity_text(EVP_MD_CTX *md, const char *text); /* NULL is "" */
/* Own certificates, and the authorities of these files as they are now. */
void tls_identity_keys(EVP_MD_CTX *md, SSL_CTX *ctx);
void tls_identity_authorities(EVP_MD_CTX *md, const char *ca_file, const char *ca_path);
bool tls_identity_end(EVP_MD_CTX *md, unsigned char out[TLS_IDENTITY], struct err *err); /* frees md */
/* tls_cache.c: NULL when there is no session, or only an old one. */
SSL_SESSION *tls_cache_load(struct tls_cache *c, struct str key);
void tls_cache_save(struct tls_cache *c, struct str key, SSL_SESSION *session);
void tls_cache_drop(struct tls_cache *c, struct str key);
/* Fills t->info after the handshake. */
void tls_describe(struct tls_session *t, const EVP_MD *digest, bool server);

#endif
