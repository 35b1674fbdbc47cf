/* What an established session is said to be: in logs, in Received: fields and to access checks. */
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "tls/tls_internal.h"

#define NAME_MAX_BYTES 255
#define DETAILS_MAX 512

/* Peer's text without control bytes; "" when it holds a NUL or is too long to be a name. */
static const char *printable(struct pool *pool, const ASN1_STRING *value)
{
	unsigned char *utf8 = NULL;
	int n = value ? ASN1_STRING_to_UTF8(&utf8, value) : -1;
	char *out;

	if (n < 0)
		return "";
	if (n > NAME_MAX_BYTES || memchr(utf8, '\0', (size_t)n))
		n = 0;
	out = pool_strndup(pool, (const char *)utf8, (size_t)n);
	OPENSSL_free(utf8);
	ascii_hide_controls(out, '?');
	return out;
}

static const char *name_part(struct pool *pool, const X509_NAME *name, int nid)
{
	int at = X509_NAME_get_index_by_NID(name, nid, -1);

	return at < 0 ? "" : printable(pool, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
}

static const char *first_dns_name(struct pool *pool, const X509 *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	const char *found = "";

	for (int i = 0; i < sk_GENERAL_NAME_num(names) && !found[0]; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);

		if (g->type == GEN_DNS)
			found = printable(pool, g->d.dNSName);
	}
	GENERAL_NAMES_free(names);
	return found;
}

static const char *print_digest(struct pool *pool, const unsigned char *raw, unsigned n)
{
	char *out;

	if (n == 0)
		return "";
	out = pool_alloc(pool, n * 3 + 1);
	for (unsigned i = 0; i < n; i++)
		snprintf(out + i * 3, 4, "%02X%s", raw[i], i + 1 < n ? ":" : "");
	return out;
}

static const char *fingerprint(struct pool *pool, const X509 *cert, const EVP_MD *digest)
{
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	return X509_digest(cert, digest, raw, &n) ? print_digest(pool, raw, n) : "";
}

static const char *key_fingerprint(struct pool *pool, const X509 *cert, const EVP_MD *digest)
{
	unsigned char raw[EVP_MAX_MD_SIZE], *key = NULL;
	int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &key);
	unsigned n = 0;

	if (size <= 0 || !EVP_Digest(key, (size_t)size, raw, &n, digest, NULL))
		n = 0;
	OPENSSL_free(key);
	return print_digest(pool, raw, n);
}

static void describe_peer(struct tls_session *t, const EVP_MD *digest)
{
	struct tls_info *info = &t->info;
	X509 *cert = SSL_get1_peer_certificate(t->ssl);

	info->peer_name = info->peer_issuer = info->peer_fingerprint = info->peer_key_fingerprint = "";
	if (!cert)
		return;
	info->peer_certificate = true;
	info->trusted = SSL_get_verify_result(t->ssl) == X509_V_OK;
	info->other_name = SSL_get_verify_result(t->ssl) == X509_V_ERR_HOSTNAME_MISMATCH;
	info->peer_name = name_part(t->pool, X509_get_subject_name(cert), NID_commonName);
	if (!info->peer_name[0])
		info->peer_name = first_dns_name(t->pool, cert);
	info->peer_issuer = name_part(t->pool, X509_get_issuer_name(cert), NID_commonName);
	if (!info->peer_issuer[0])
		info->peer_issuer = name_part(t->pool, X509_get_issuer_name(cert), NID_organizationName);
	info->peer_fingerprint = fingerprint(t->pool, cert, digest);
	info->peer_key_fingerprint = key_fingerprint(t->pool, cert, digest);
	X509_free(cert);
}

static const char *curve_name(EVP_PKEY *key, char *out, size_t size)
{
	size_t n = 0;

	return EVP_PKEY_get_group_name(key, out, size, &n) ? out : "unknown";
}

static void add_exchange(struct buf *out, SSL *ssl)
{
	EVP_PKEY *key = NULL;
	char curve[64];

	if (!SSL_get_peer_tmp_key(ssl, &key) || !key)
		return;
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_EC:
		buf_printf(out, " key-exchange ECDHE (%s)", curve_name(key, curve, sizeof(curve)));
		break;
	case EVP_PKEY_DH:
		buf_printf(out, " key-exchange DHE (%d bits)", EVP_PKEY_get_bits(key));
		break;
	default:
		buf_printf(out, " key-exchange %s", OBJ_nid2sn(EVP_PKEY_get_base_id(key)));
	}
	EVP_PKEY_free(key);
}

static void add_signature(struct buf *out, const char *who, EVP_PKEY *key, int type, int digest)
{
	char curve[64];

	if (!key || type == NID_undef)
		return;
	if (type == EVP_PKEY_RSA_PSS)
		buf_printf(out, " %s-signature RSA-PSS (%d bits)", who, EVP_PKEY_get_bits(key));
	else if (type == EVP_PKEY_RSA)
		buf_printf(out, " %s-signature RSA (%d bits)", who, EVP_PKEY_get_bits(key));
	else if (type == EVP_PKEY_EC)
		buf_printf(out, " %s-signature ECDSA (%s)", who, curve_name(key, curve, sizeof(curve)));
	else
		buf_printf(out, " %s-signature %s", who, OBJ_nid2sn(type));
	if (digest != NID_undef)
		buf_printf(out, " %s-digest %s", who, OBJ_nid2sn(digest));
}

/* A session that is taken up again is not signed anew: the key of the one who signed it is named, as Postfix
 * does. */
static int usual_type(EVP_PKEY *key)
{
	int type = key ? EVP_PKEY_get_base_id(key) : NID_undef;

	return type == EVP_PKEY_RSA ? EVP_PKEY_RSA_PSS : type;
}

static void add_own_signature(struct buf *out, SSL *ssl, const char *who)
{
	int type = NID_undef, digest = NID_undef;
	EVP_PKEY *key = SSL_get_privatekey(ssl);

	if (SSL_session_reused(ssl))
		type = usual_type(key);
	else if (SSL_get_signature_type_nid(ssl, &type))
		SSL_get_signature_nid(ssl, &digest);
	add_signature(out, who, key, type, digest);
}

static void add_peer_signature(struct buf *out, SSL *ssl, const char *who)
{
	int type = NID_undef, digest = NID_undef;
	X509 *cert = SSL_get0_peer_certificate(ssl);
	EVP_PKEY *key = cert ? X509_get0_pubkey(cert) : NULL;

	if (SSL_session_reused(ssl))
		type = usual_type(key);
	else if (SSL_get_peer_signature_type_nid(ssl, &type))
		SSL_get_peer_signature_nid(ssl, &digest);
	add_signature(out, who, key, type, digest);
}

/* The name of an older protocol's cipher says these things; TLS 1.3's does not. */
static const char *details(struct tls_session *t, bool server)
{
	struct buf out = BUF(DETAILS_MAX);
	const char *text;

	if (SSL_version(t->ssl) >= TLS1_3_VERSION) {
		add_exchange(&out, t->ssl);
		if (server) {
			add_own_signature(&out, t->ssl, "server");
			add_peer_signature(&out, t->ssl, "client");
		} else {
			add_peer_signature(&out, t->ssl, "server");
			if (SSL_get_certificate(t->ssl) && !SSL_session_reused(t->ssl))
				add_own_signature(&out, t->ssl, "client");
		}
	}
	text = pool_strdup(t->pool, out.len > 0 ? buf_cstr(&out) + 1 : "");
	buf_free(&out);
	return text;
}

void tls_describe(struct tls_session *t, const EVP_MD *digest, bool server)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(t->ssl);
	struct tls_info *info = &t->info;

	info->protocol = SSL_get_version(t->ssl);
	info->cipher = SSL_CIPHER_get_name(cipher);
	info->bits = SSL_CIPHER_get_bits(cipher, &info->algorithm_bits);
	info->reused = SSL_session_reused(t->ssl);
	info->summary = pool_printf(t->pool, "%s with cipher %s (%d/%d bits)", info->protocol, info->cipher,
		info->bits, info->algorithm_bits);
	info->details = details(t, server);
	describe_peer(t, digest);
}
