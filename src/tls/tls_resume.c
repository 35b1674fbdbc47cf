/*
 * Sessions that a client takes up again. What a session is found by holds everything that decided about the
 * server when it was made: so one that was made with less demanded is never found where more is.
 */
#include <openssl/err.h>

#include "tls/tls_internal.h"

#define YOUNG 60 /* seconds; most servers give a new session each time, and each is a write to the disk */

/* TLS 1.3 gives sessions after the handshake, with the first answers; others at its end. Returns 1 when the
 * session is ours to free. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_session *t = SSL_get_app_data(ssl);

	if (!t || !t->cache || !SSL_SESSION_is_resumable(session) || (t->young && SSL_session_reused(ssl)))
		return 0;
	if (t->judged) {
		tls_cache_save(t->cache, str_c(t->key), session);
		return 0;
	}
	SSL_SESSION_free(t->fresh);
	t->fresh = session;
	return 1;
}

bool tls_resume_enable(struct tls_context *c, const struct tls_client_options *o, struct err *err)
{
	EVP_MD_CTX *md;

	if (!o->cache)
		return true;
	md = tls_identity_begin();
	tls_identity_text(md, o->service);
	tls_identity_text(md, o->fingerprint_digest);
	tls_identity_bytes(md, &o->verify_depth, sizeof(o->verify_depth));
	tls_identity_keys(md, c->ssl);
	tls_identity_authorities(md, o->ca_file, o->ca_path);
	tls_identity_anchors(md, c->anchors);
	tls_identity_text(md, o->dane_digests);
	c->cache = o->cache;
	SSL_CTX_set_session_cache_mode(
		c->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR);
	SSL_CTX_sess_set_new_cb(c->ssl, keep_session);
	return tls_identity_end(md, c->identity, err);
}

static void add_all(EVP_MD_CTX *md, const char *const *texts, size_t n)
{
	tls_identity_bytes(md, &n, sizeof(n));
	for (size_t i = 0; i < n; i++)
		tls_identity_text(md, texts[i]);
}

static void add_tlsa(EVP_MD_CTX *md, const struct tls_rules *rules)
{
	tls_identity_text(md, rules->tlsa_base);
	for (size_t i = 0; i < rules->tlsa_count; i++) {
		const struct tls_tlsa *r = &rules->tlsa[i];
		const uint8_t kind[] = {r->usage, r->selector, r->type};

		tls_identity_bytes(md, kind, sizeof(kind));
		tls_identity_bytes(md, r->data.p, r->data.n);
	}
}

static bool make_key(const struct tls_context *c, const struct tls_rules *rules, char out[TLS_KEY_HEX + 1])
{
	unsigned char raw[TLS_IDENTITY];
	EVP_MD_CTX *md = tls_identity_begin();
	struct err err = {""};

	tls_identity_bytes(md, c->identity, sizeof(c->identity));
	tls_identity_text(md, rules->server);
	tls_identity_text(md, rules->protocols);
	tls_identity_text(md, rules->cipher_list);
	tls_identity_text(md, rules->exclude_ciphers);
	tls_identity_text(md, rules->servername);
	add_all(md, rules->names, rules->name_count);
	add_all(md, rules->fingerprints, rules->fingerprint_count);
	add_tlsa(md, rules);
	tls_identity_anchors(md, rules->anchors);
	if (!tls_identity_end(md, raw, &err))
		return false;
	for (size_t i = 0; i < sizeof(raw); i++)
		snprintf(out + 2 * i, 3, "%02x", raw[i]);
	return true;
}

/* A certificate that would be refused by now must be shown again. */
static bool still_valid(const SSL_SESSION *session)
{
	X509 *cert = SSL_SESSION_get0_peer((SSL_SESSION *)(uintptr_t)session);

	return !cert || X509_cmp_current_time(X509_get0_notAfter(cert)) > 0;
}

void tls_resume_offer(struct tls_session *t, struct tls_context *c, const struct tls_rules *rules)
{
	SSL_SESSION *session;

	if (!c->cache || !rules->server || !make_key(c, rules, t->key))
		return;
	t->cache = c->cache;
	session = tls_cache_load(c->cache, str_c(t->key));
	if (session && still_valid(session)) {
		t->offered = SSL_set_session(t->ssl, session) == 1;
		t->young = time(NULL) - (time_t)SSL_SESSION_get_time(session) < YOUNG;
	}
	SSL_SESSION_free(session);
	ERR_clear_error();
}

void tls_resume_settle(struct tls_session *t, bool worthy)
{
	if (!t->cache)
		return;
	if (!worthy) {
		tls_resume_failed(t);
		t->cache = NULL;
		return;
	}
	t->judged = true;
	if (t->fresh)
		tls_cache_save(t->cache, str_c(t->key), t->fresh);
}

void tls_resume_failed(struct tls_session *t)
{
	if (t->cache && t->offered)
		tls_cache_drop(t->cache, str_c(t->key));
}
