/* TLS over a stream, by OpenSSL 3. A context is made once per configuration and shared by threads; a session
 * is a layer of its stream. */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include "base/err.h"
#include "base/stream.h"

struct tls_cache; /* tls_cache.h */
struct tls_context;

/* What session tickets are sealed with. The first key is the one for new tickets, tickets by the others are
 * still taken. Asked for at each handshake, by any thread; 0: none now. */
#define TLS_TICKET_KEYS 2
struct tls_ticket_key {
	unsigned char secret[32];
};
struct tls_ticket_source {
	size_t (*keys)(void *arg, struct tls_ticket_key out[TLS_TICKET_KEYS]); /* NULL: no tickets */
	void *arg;
};

typedef void tls_warn_fn(void *arg, const char *text); /* arg: NULL */
/* What servers and clients have in common; NULL is "". */
struct tls_common {
	const char *curves, *groups;	       /* for key exchange, preferred first; both "": the library's */
	const char *workarounds_off, *options; /* words of the manuals, or "0x..." */
	bool wait_for_end;		       /* for the peer's answer when the session ends */
	tls_warn_fn *warn; /* is told of words that mean nothing, which are passed over; NULL: nobody is */
};
struct config;
struct tls_common tls_common_settings(const struct config *cfg, tls_warn_fn *warn);
const char *tls_cipher_list(const struct config *cfg, const char *grade); /* "medium", "high", ... */
/* tls_config_file, tls_config_name; before anything else here and once in a process. */
bool tls_library_start(const struct config *cfg, struct err *err);

struct tls_server_options {
	struct tls_common common;
	const char *chain_files; /* smtpd_tls_chain_files; "" uses the pairs below */
	const char *cert_file,
		*key_file; /* cert_file "none": no certificate of this kind is meant. NULL is "" everywhere */
	const char *eccert_file, *eckey_file, *dcert_file, *dkey_file;
	const char *ca_file, *ca_path;
	bool prefer_own_ciphers;
	const char *dh_file;	 /* parameters for DHE of TLS 1.2; "" and "auto": the library's */
	const char *protocols;	 /* ">=TLSv1.2", "!SSLv2, !SSLv3" */
	const char *cipher_list; /* OpenSSL syntax, already chosen by grade */
	const char *exclude_ciphers;
	bool ask_certificate,
		demand_certificate; /* whether it came and is trusted is for the caller to see */
	int verify_depth;
	const char *fingerprint_digest; /* NULL: sha256 */
	/* Sessions that clients take up again. */
	const char *service;	 /* they can do so at this service only */
	int session_seconds;	 /* for so long; 0: not at all */
	struct tls_cache *cache; /* for clients without tickets; the caller's; NULL: none */
	bool always_session_ids; /* ids are given out without cache and tickets too */
	struct tls_ticket_source tickets;
	const char *ticket_cipher; /* "aes-256-cbc"; "": no tickets */
};

struct tls_info {	      /* of an established session; strings live as long as the stream */
	const char *protocol; /* "TLSv1.3" */
	const char *cipher;
	int bits, algorithm_bits;
	const char *summary;   /* "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)" */
	const char *details;   /* "key-exchange X25519 server-signature RSA-PSS ..." */
	bool peer_certificate; /* presented */
	bool trusted;	       /* its chain verified */
	bool other_name;       /* DANE: it did, but the certificate is somebody else's */
	const char *peer_name; /* subject CN or first DNS name, printable; "" */
	const char *peer_issuer;
	const char *peer_fingerprint;	  /* of the certificate, by the configured digest */
	const char *peer_key_fingerprint; /* of its public key */
	const char *server_name;	  /* that the client asked for and got the keys of; "" */
	/* "client certificate" and "certificate has expired": the first problem of the chain; "" when there
	 * is none, and in a session that was taken up again. */
	const char *problem_of, *problem;
	bool reused;
	bool matched; /* client: trusted and with one of the names, or with one of the fingerprints, of the
			 rules */
};

struct tls_context *tls_server_context(
	const struct tls_server_options *o, struct err *err); /* reads keys: before privileges drop */
void tls_context_free(struct tls_context **c);
/* The handshake, within the stream's timeout; the process ignores SIGPIPE. Plaintext input that is still
 * buffered is an attack: false, err says so (STARTTLS injection). */
/* Why there is no session, in words that logs have: "lost connection", a reason of the system, or "-1" and
 * what the library said of it ("" otherwise). */
struct tls_failure {
	struct err reason, library;
};
bool tls_accept(struct stream *s, struct tls_context *c, struct tls_failure *why);

/* Keys by the name that the client asks for. find() answers for a name as the client sent it, of any bytes
 * but NUL: the default keys, or these keys with their chains (PEM), or trouble: then the handshake fails. */
enum tls_name { TLS_NAME_DEFAULT, TLS_NAME_FOUND, TLS_NAME_TROUBLE };
struct tls_names {
	enum tls_name (*find)(void *arg, const char *name, struct buf *pem);
	void *arg;
};
#define TLS_NAME_PEM_MAX 100000 /* bytes */
bool tls_accept_by_name(
	struct stream *s, struct tls_context *c, const struct tls_names *names, struct tls_failure *why);

/* ---- client */

struct tls_client_options {
	struct tls_common common;
	const char *chain_files; /* as for the server; all empty: no client certificate */
	const char *cert_file, *key_file;
	const char *eccert_file, *eckey_file, *dcert_file, *dkey_file;
	const char *ca_file, *ca_path;
	int verify_depth;
	const char *fingerprint_digest; /* NULL: sha256 */
	const char *service;		/* sessions are taken up again by the same service only */
	struct tls_cache *cache;	/* where sessions are kept, the caller's; NULL: nowhere */
	const char *anchor_files;	/* who is trusted in place of ca_file and ca_path; "": these are */
	bool long_wildcards;		/* "*.example" in a certificate is "a.b.example" too */
	const char *dane_digests;	/* "": sha512 sha256 */
};

/* A TLSA record (RFC 6698): usage, selector, matching type, data. */
struct tls_tlsa {
	uint8_t usage, selector, type;
	struct str data;
};

struct tls_anchors;
/* What is demanded of one server. Whether its certificate will do is for the caller to see in tls_info. */
struct tls_rules {
	const char *server; /* "host[address]:port", sessions are kept for; NULL: none are */
	const char *protocols;
	const char *cipher_list, *exclude_ciphers;
	const char *servername;	  /* for SNI; NULL or "": not sent */
	const char *const *names; /* "host.example", or ".example" for any name below it */
	size_t name_count;
	const char *const
		*fingerprints; /* of certificate or public key; hexadecimal, colons and case do not count */
	size_t fingerprint_count;
	/* DANE (RFC 7672): with usable records they alone decide, and the server's name is tlsa_base or one
	 * of names. */
	const struct tls_anchors *anchors; /* who is trusted in place of the context's; NULL: these are */
	const char *tlsa_base;		   /* sent as server name too; NULL: no DANE */
	const struct tls_tlsa *tlsa;
	size_t tlsa_count;
};

/* Records that RFC 7672 can use: DANE-TA and DANE-EE with a known selector, a matching type that is listed
 * and data that fits. */
bool tls_tlsa_usable(const struct tls_context *c, const struct tls_tlsa *record);
bool tls_digest_listed(const struct tls_context *c, uint8_t type);

/* Certificates and public keys of PEM files, which are separated by blanks or commas. NULL: err. */
struct tls_anchors *tls_anchors_read(const char *files, struct err *err);
void tls_anchors_free(struct tls_anchors **anchors);

struct tls_context *tls_client_context(
	const struct tls_client_options *o, struct err *err); /* reads keys: before privileges drop */
/* The handshake, within the stream's timeout. Input that is still buffered is an attack (response injection).
 */
bool tls_connect(
	struct stream *s, struct tls_context *c, const struct tls_rules *rules, struct tls_failure *why);

const struct tls_info *tls_session_info(const struct stream *s); /* NULL: plain */

#endif
