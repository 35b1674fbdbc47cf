#include <ctype.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "tls/tls_internal.h"

static bool set_up_client(struct tls_context *c, const struct tls_client_options *o, struct err *err)
{
	const char *const pairs[] = {
		o->cert_file, o->key_file, o->eccert_file, o->eckey_file, o->dcert_file, o->dkey_file};

	c->digest = tls_find_digest(o->fingerprint_digest, err);
	if (!c->digest)
		return false;
	tls_set_behaviour(c->ssl);
	/* A certificate that does not verify is the caller's to judge: at most levels mail goes through
	 * nevertheless. */
	SSL_CTX_set_verify(c->ssl, SSL_VERIFY_NONE, tls_note_problem);
	if (o->verify_depth > 0)
		SSL_CTX_set_verify_depth(c->ssl, o->verify_depth);
	c->wildcards = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
		       (o->long_wildcards ? X509_CHECK_FLAG_MULTI_LABEL_WILDCARDS : 0);
	if (o->anchor_files && o->anchor_files[0]) {
		c->anchors = tls_anchors_read(o->anchor_files, err);
		if (!c->anchors)
			return false;
	}
	if (!tls_set_digests(c, o->dane_digests, err))
		return false;
	c->wait_for_end = o->common.wait_for_end;
	return tls_set_common(c->ssl, &o->common, err) && tls_load_keys(c->ssl, o->chain_files, pairs, err) &&
	       tls_load_authorities(c->ssl, o->ca_file, o->ca_path, err) && tls_resume_enable(c, o, err);
}

struct tls_context *tls_client_context(const struct tls_client_options *o, struct err *err)
{
	struct tls_context *c = x_alloc(sizeof(*c));

	ERR_clear_error();
	c->ssl = SSL_CTX_new(TLS_client_method());
	if (!c->ssl)
		tls_error(err, "cannot start the TLS library");
	else if (set_up_client(c, o, err))
		return c;
	tls_context_free(&c);
	return NULL;
}

/* RFC 7672 section 3.1: DANE-EE alone binds key and name, so neither names nor dates are checked there. */
static bool apply_dane(SSL *ssl, const struct tls_context *c, const struct tls_rules *rules, struct err *err)
{
	size_t usable = 0;

	if (SSL_dane_enable(ssl, rules->tlsa_base) <= 0)
		return tls_error(err, "DANE for %s", rules->tlsa_base);
	SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	SSL_set_hostflags(ssl, c->wildcards);
	for (size_t i = 0; i < rules->name_count; i++)
		if (!SSL_add1_host(ssl, rules->names[i]))
			return tls_error(err, "DANE name %s", rules->names[i]);
	for (size_t i = 0; i < rules->tlsa_count; i++) {
		const struct tls_tlsa *r = &rules->tlsa[i];

		if (tls_tlsa_usable(c, r) && SSL_dane_tlsa_add(ssl, r->usage, r->selector, r->type,
						     (const unsigned char *)r->data.p, r->data.n) > 0)
			usable++;
	}
	ERR_clear_error();
	return usable > 0 || err_set(err, "no usable TLSA record");
}

bool tls_demanding(const struct tls_rules *rules)
{
	return rules->tlsa_base || rules->name_count + rules->fingerprint_count > 0;
}

bool tls_apply_rules(SSL *ssl, const struct tls_context *c, const struct tls_rules *rules, struct err *err)
{
	const struct tls_anchors *anchors = rules->anchors ? rules->anchors : c->anchors;

	if (!tls_demanding(rules))
		SSL_set_security_level(ssl, 0);
	if (!tls_set_session_protocols(ssl, rules->protocols, err) ||
		!tls_set_session_ciphers(ssl, rules->cipher_list, rules->exclude_ciphers, err))
		return false;
	if (rules->tlsa_base)
		return apply_dane(ssl, c, rules, err);
	/* Elsewhere nothing depends on trust, and the log tells of the authorities'. */
	if (anchors && rules->name_count > 0 && !tls_anchors_apply(ssl, anchors, err))
		return false;
	if (rules->servername && rules->servername[0] && !SSL_set_tlsext_host_name(ssl, rules->servername))
		return tls_error(err, "server name %s", rules->servername);
	return true;
}

static bool has_name(X509 *cert, const char *name, unsigned wildcards)
{
	size_t n = strlen(name);

	while (n > 1 && name[n - 1] == '.')
		n--;
	return n > 0 && X509_check_host(cert, name, n, wildcards, NULL) == 1;
}

/* Whether `text` is these bytes in hexadecimal. */
static bool same_bytes(const char *text, const unsigned char *bytes, unsigned n)
{
	unsigned digits = 0;

	for (; *text; text++) {
		const char *wanted = "0123456789abcdef";
		unsigned nibble;

		if (*text == ':')
			continue;
		if (digits / 2 >= n)
			return false;
		nibble = digits % 2 ? bytes[digits / 2] & 15u : bytes[digits / 2] >> 4;
		if (tolower((unsigned char)*text) != wanted[nibble])
			return false;
		digits++;
	}
	return digits == n * 2;
}

static bool listed(const struct tls_rules *rules, const unsigned char *bytes, unsigned n)
{
	for (size_t i = 0; i < rules->fingerprint_count; i++)
		if (same_bytes(rules->fingerprints[i], bytes, n))
			return true;
	return false;
}

static bool has_fingerprint(X509 *cert, const EVP_MD *digest, const struct tls_rules *rules)
{
	unsigned char print[EVP_MAX_MD_SIZE], *key = NULL;
	int key_size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &key);
	unsigned n = 0;
	bool found;

	found = X509_digest(cert, digest, print, &n) && listed(rules, print, n);
	if (!found && key_size > 0)
		found = EVP_Digest(key, (size_t)key_size, print, &n, digest, NULL) && listed(rules, print, n);
	OPENSSL_free(key);
	return found;
}

bool tls_peer_matches(const struct tls_session *t, const struct tls_context *c, const struct tls_rules *rules)
{
	X509 *cert = SSL_get0_peer_certificate(t->ssl);

	if (!cert)
		return false;
	/* The verdict on a session that is taken up again came with it; it is kept only after a good one by
	 * the same records. */
	if (rules->tlsa_base && t->info.reused)
		return t->info.trusted;
	if (rules->tlsa_base)
		return t->info.trusted && SSL_get0_dane_authority(t->ssl, NULL, NULL) >= 0;
	if (rules->fingerprint_count > 0)
		return has_fingerprint(cert, c->digest, rules);
	for (size_t i = 0; t->info.trusted && i < rules->name_count; i++)
		if (has_name(cert, rules->names[i], c->wildcards))
			return true;
	return false;
}
