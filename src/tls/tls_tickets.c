/*
 * Sessions that a server takes up again: tickets, which the client keeps, and for clients without them a
 * cache of its own. Both are bound to the identity of the context, so nothing is taken up at a listener with
 * other settings.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "tls/tls_internal.h"

#define NAME_SIZE 16 /* of a ticket's key, RFC 5077 */
#define IV_SIZE 16

struct tls_tickets {
	struct tls_ticket_source source;
	EVP_CIPHER *cipher;
};

struct derived {
	unsigned char name[TLS_IDENTITY], encryption[TLS_IDENTITY], mac[TLS_IDENTITY];
};

static bool derive_one(const struct tls_context *c, const struct tls_ticket_key *key, const char *use,
	unsigned char out[TLS_IDENTITY])
{
	unsigned char text[TLS_IDENTITY + 16] = {0};
	unsigned n = 0;

	memcpy(text, c->identity, TLS_IDENTITY);
	memcpy(text + TLS_IDENTITY, use, strlen(use));
	return HMAC(EVP_sha256(), key->secret, sizeof(key->secret), text, sizeof(text), out, &n) &&
	       n == TLS_IDENTITY;
}

static bool derive(const struct tls_context *c, const struct tls_ticket_key *key, struct derived *out)
{
	return derive_one(c, key, "name", out->name) && derive_one(c, key, "encryption", out->encryption) &&
	       derive_one(c, key, "mac", out->mac);
}

static bool set_mac(EVP_MAC_CTX *mac, struct derived *d)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, d->mac, sizeof(d->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* What the library is to hear: 1 done, 2 done, and the client gets a new ticket, 0 no ticket, -1 trouble. */
static int seal(const struct tls_context *c, const struct tls_ticket_key *key, unsigned char *name,
	unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	struct derived d;
	int result = -1;

	if (derive(c, key, &d) && RAND_bytes(iv, IV_SIZE) == 1 &&
		EVP_EncryptInit_ex2(cipher, c->tickets->cipher, d.encryption, iv, NULL) == 1 &&
		set_mac(mac, &d)) {
		memcpy(name, d.name, NAME_SIZE);
		result = 1;
	}
	OPENSSL_cleanse(&d, sizeof(d));
	return result;
}

static int open_ticket(const struct tls_context *c, const struct tls_ticket_key *keys, size_t n,
	const unsigned char *name, const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	struct derived d;
	int result = 0;

	for (size_t i = 0; i < n && result == 0; i++) {
		if (!derive(c, &keys[i], &d))
			result = -1;
		else if (CRYPTO_memcmp(name, d.name, NAME_SIZE) == 0)
			result = EVP_DecryptInit_ex2(cipher, c->tickets->cipher, d.encryption, iv, NULL) ==
							 1 &&
						 set_mac(mac, &d)
					 ? 1 + (i > 0)
					 : -1;
	}
	OPENSSL_cleanse(&d, sizeof(d));
	return result;
}

static int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
	EVP_MAC_CTX *mac, int sealing)
{
	const struct tls_context *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct tls_ticket_key keys[TLS_TICKET_KEYS];
	size_t n = c->tickets->source.keys(c->tickets->source.arg, keys);
	int result = 0;

	if (n > 0)
		result = sealing ? seal(c, &keys[0], name, iv, cipher, mac)
				 : open_ticket(c, keys, n, name, iv, cipher, mac);
	OPENSSL_cleanse(keys, sizeof(keys));
	return result;
}

/* Blocks of 128 bits in CBC mode, keys that the derived ones are long enough for. */
static EVP_CIPHER *find_cipher(const char *name, struct err *err)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);

	if (cipher && EVP_CIPHER_get_mode(cipher) == EVP_CIPH_CBC_MODE &&
		EVP_CIPHER_get_block_size(cipher) == IV_SIZE && EVP_CIPHER_get_key_length(cipher) >= 16 &&
		EVP_CIPHER_get_key_length(cipher) <= TLS_IDENTITY)
		return cipher;
	EVP_CIPHER_free(cipher);
	ERR_clear_error();
	err_set(err,
		"cipher of session tickets: %s: CBC mode with blocks of 128 bits and keys of up to 256 is "
		"wanted",
		name);
	return NULL;
}

static bool has_tickets(const struct tls_server_options *o)
{
	return o->tickets.keys && o->session_seconds > 0 && o->ticket_cipher && o->ticket_cipher[0];
}

static bool enable_tickets(struct tls_context *c, const struct tls_server_options *o, struct err *err)
{
	if (!has_tickets(o)) {
		SSL_CTX_set_options(c->ssl, SSL_OP_NO_TICKET);
		return true;
	}
	c->tickets = x_alloc(sizeof(*c->tickets));
	c->tickets->source = o->tickets;
	c->tickets->cipher = find_cipher(o->ticket_cipher, err);
	SSL_CTX_set_app_data(c->ssl, c);
	return c->tickets->cipher && (SSL_CTX_set_tlsext_ticket_key_evp_cb(c->ssl, ticket_key) == 1 ||
					     tls_error(err, "TLS session tickets"));
}

void tls_tickets_free(struct tls_tickets **tickets)
{
	if (!*tickets)
		return;
	EVP_CIPHER_free((*tickets)->cipher);
	x_free(tickets);
}

/* ---- the cache */

static void cache_key(const struct tls_context *c, const unsigned char *id, size_t n, struct buf *out)
{
	buf_add(out, c->identity, sizeof(c->identity));
	buf_add(out, id, n);
}

/* With tickets, TLS 1.3 tells of sessions that the client keeps itself. */
static int server_keep(SSL *ssl, SSL_SESSION *session)
{
	const struct tls_context *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct buf key = BUF(2 * TLS_IDENTITY);
	unsigned n = 0;
	const unsigned char *id = SSL_SESSION_get_id(session, &n);

	if (n > 0 && (SSL_version(ssl) < TLS1_3_VERSION || (SSL_get_options(ssl) & SSL_OP_NO_TICKET))) {
		cache_key(c, id, n, &key);
		tls_cache_save(c->cache, buf_slice(&key), session);
		buf_free(&key);
	}
	return 0;
}

static SSL_SESSION *server_find(SSL *ssl, const unsigned char *id, int n, int *copy)
{
	const struct tls_context *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct buf key = BUF(2 * TLS_IDENTITY);
	SSL_SESSION *found = NULL;

	*copy = 0;
	if (n > 0 && n <= SSL_MAX_SSL_SESSION_ID_LENGTH) {
		cache_key(c, id, (size_t)n, &key);
		found = tls_cache_load(c->cache, buf_slice(&key));
		buf_free(&key);
	}
	return found;
}

static void enable_cache(struct tls_context *c, const struct tls_server_options *o)
{
	if (!o->cache && !o->always_session_ids && !has_tickets(o))
		return;
	SSL_CTX_set_session_cache_mode(
		c->ssl, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR);
	if (!o->cache || o->session_seconds == 0)
		return;
	c->cache = o->cache;
	SSL_CTX_set_app_data(c->ssl, c);
	SSL_CTX_sess_set_new_cb(c->ssl, server_keep);
	SSL_CTX_sess_set_get_cb(c->ssl, server_find);
}

bool tls_tickets_enable(struct tls_context *c, const struct tls_server_options *o, struct err *err)
{
	const int switches[] = {o->ask_certificate, o->demand_certificate, o->verify_depth};
	EVP_MD_CTX *md = tls_identity_begin();

	tls_identity_text(md, o->service);
	tls_identity_bytes(md, switches, sizeof(switches));
	tls_identity_text(md, o->fingerprint_digest);
	tls_identity_text(md, o->protocols);
	tls_identity_text(md, o->cipher_list);
	tls_identity_text(md, o->exclude_ciphers);
	tls_identity_keys(md, c->ssl);
	tls_identity_authorities(md, o->ca_file, o->ca_path);
	if (!tls_identity_end(md, c->identity, err))
		return false;
	if (!SSL_CTX_set_session_id_context(c->ssl, c->identity, sizeof(c->identity)))
		return tls_error(err, "TLS session context");
	if (o->session_seconds > 0)
		SSL_CTX_set_timeout(c->ssl, o->session_seconds);
	enable_cache(c, o);
	return enable_tickets(c, o, err);
}
