#include <openssl/err.h>
#include <openssl/pem.h>

#include "tls/tls_internal.h"

static bool is_set(const char *value)
{
	return value && value[0];
}

bool tls_load_keys(
	SSL_CTX *ctx, const char *chain_files, const char *const pairs[2 * TLS_PAIRS], struct err *err)
{
	if (is_set(chain_files))
		return tls_load_chain_files(ctx, chain_files, err);
	for (size_t i = 0; i < TLS_PAIRS; i++)
		if (is_set(pairs[2 * i]) && !tls_load_pair(ctx, pairs[2 * i], pairs[2 * i + 1], err))
			return false;
	return true;
}

bool tls_load_authorities(SSL_CTX *ctx, const char *ca_file, const char *ca_path, struct err *err)
{
	if (is_set(ca_path) && SSL_CTX_load_verify_dir(ctx, ca_path) != 1)
		return tls_error(err, "cannot use CA directory %s", ca_path);
	if (is_set(ca_file) && SSL_CTX_load_verify_file(ctx, ca_file) != 1)
		return tls_error(err, "cannot load CA file %s", ca_file);
	return true;
}

static bool load_server_keys(SSL_CTX *ctx, const struct tls_server_options *o, struct err *err)
{
	bool none = is_set(o->cert_file) && strcmp(o->cert_file, "none") == 0;
	const char *const pairs[] = {none ? "" : o->cert_file, o->key_file, o->eccert_file, o->eckey_file,
		o->dcert_file, o->dkey_file};

	if (is_set(o->chain_files))
		return tls_load_keys(ctx, o->chain_files, pairs, err);
	if (!is_set(pairs[0]) && !is_set(pairs[2]) && !is_set(pairs[4])) {
		if (!none)
			return err_set(err, "no certificate is configured");
		/* Without one, the key exchange is anonymous, and that of TLS 1.3 never is. */
		SSL_CTX_set_options(ctx, SSL_OP_NO_TLSv1_3);
		return !o->ask_certificate ||
		       err_set(err, "clients cannot be asked for certificates without one of the server");
	}
	return tls_load_keys(ctx, NULL, pairs, err);
}

/* Whom the client is told that we trust. */
static bool name_authorities(SSL_CTX *ctx, const char *ca_file, struct err *err)
{
	STACK_OF(X509_NAME) * names;

	if (!is_set(ca_file))
		return true;
	names = SSL_load_client_CA_file(ca_file);
	if (!names)
		return tls_error(err, "cannot load CA file %s", ca_file);
	SSL_CTX_set_client_CA_list(ctx, names);
	return true;
}

/* Lets every certificate pass: whether it is trusted is judged, and logged, afterwards. */
static int accept_any(int ok, X509_STORE_CTX *store)
{
	tls_note_problem(ok, store);
	return 1;
}

static void set_verification(SSL_CTX *ctx, const struct tls_server_options *o)
{
	if (o->ask_certificate)
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, accept_any);
	if (o->verify_depth > 0)
		SSL_CTX_set_verify_depth(ctx, o->verify_depth);
}

/* A client that was sent here while it speaks another protocol must not get through (ALPACA). */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
	const unsigned char *in, unsigned in_len, void *arg)
{
	static const unsigned char ours[] = "\4smtp";

	if (SSL_select_next_proto((unsigned char **)out, out_len, ours, sizeof(ours) - 1, in, in_len) ==
		OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_OK;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* The library's security level is one of ciphers and of keys. Where nobody is to be verified, the settings
 * say what is good enough: the handshake has no level of its own then. Whoever counts as trusted has keys and
 * signatures of the library's level in any case. */
void tls_set_behaviour(SSL_CTX *ctx)
{
	SSL_CTX_set_options(
		ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	X509_VERIFY_PARAM_set_auth_level(SSL_CTX_get0_param(ctx), SSL_CTX_get_security_level(ctx));
}

const EVP_MD *tls_find_digest(const char *name, struct err *err)
{
	const EVP_MD *digest = EVP_get_digestbyname(is_set(name) ? name : "sha256");

	if (!digest)
		err_set(err, "unknown digest: %s", name);
	return digest;
}

/* Parameters of DHE of TLS 1.2, by the strength of the key unless a file has them. */
static bool set_dh(SSL_CTX *ctx, const char *file, struct err *err)
{
	EVP_PKEY *parameters = NULL;
	BIO *in;

	if (!is_set(file) || strcmp(file, "auto") == 0)
		return SSL_CTX_set_dh_auto(ctx, 1) == 1 || tls_error(err, "DH parameters");
	in = BIO_new_file(file, "r");
	if (in)
		parameters = PEM_read_bio_Parameters(in, NULL);
	BIO_free(in);
	if (parameters && SSL_CTX_set0_tmp_dh_pkey(ctx, parameters) == 1)
		return true;
	EVP_PKEY_free(parameters);
	return tls_error(err, "cannot use DH parameters of %s", file);
}

/* Called for each hello, with a name or without. */
static int choose_name(SSL *ssl, int *alert, void *arg)
{
	struct tls_session *t = SSL_get_app_data(ssl);
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct buf pem = BUF(TLS_NAME_PEM_MAX);
	enum tls_name found;
	bool ok;

	if (!t || !t->names || !name)
		return SSL_TLSEXT_ERR_NOACK;
	found = t->names->find(t->names->arg, name, &pem);
	ok = found == TLS_NAME_FOUND &&
	     tls_use_chains(ssl, "keys by server name", buf_slice(&pem), &t->name_trouble);
	if (pem.data)
		OPENSSL_cleanse(pem.data, pem.cap);
	buf_free(&pem);
	if (found == TLS_NAME_DEFAULT)
		return SSL_TLSEXT_ERR_NOACK;
	if (ok) {
		t->info.server_name = pool_strdup(t->pool, name);
		return SSL_TLSEXT_ERR_OK;
	}
	*alert = SSL_AD_INTERNAL_ERROR;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool set_up_server(struct tls_context *c, const struct tls_server_options *o, struct err *err)
{
	c->digest = tls_find_digest(o->fingerprint_digest, err);
	if (!c->digest)
		return false;
	tls_set_behaviour(c->ssl);
	SSL_CTX_set_num_tickets(c->ssl, 1);
	SSL_CTX_set_alpn_select_cb(c->ssl, choose_protocol, NULL);
	SSL_CTX_set_tlsext_servername_callback(c->ssl, choose_name);
	set_verification(c->ssl, o);
	if (!o->demand_certificate)
		SSL_CTX_set_security_level(c->ssl, 0);
	if (o->prefer_own_ciphers)
		SSL_CTX_set_options(c->ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
	c->wait_for_end = o->common.wait_for_end;
	return tls_set_common(c->ssl, &o->common, err) && set_dh(c->ssl, o->dh_file, err) &&
	       tls_set_protocols(c->ssl, o->protocols, err) &&
	       tls_set_ciphers(c->ssl, o->cipher_list, o->exclude_ciphers, err) &&
	       load_server_keys(c->ssl, o, err) &&
	       tls_load_authorities(c->ssl, o->ca_file, o->ca_path, err) &&
	       name_authorities(c->ssl, o->ca_file, err) && tls_tickets_enable(c, o, err);
}

struct tls_context *tls_server_context(const struct tls_server_options *o, struct err *err)
{
	struct tls_context *c = x_alloc(sizeof(*c));

	ERR_clear_error();
	c->ssl = SSL_CTX_new(TLS_server_method());
	if (!c->ssl)
		tls_error(err, "cannot start the TLS library");
	else if (set_up_server(c, o, err))
		return c;
	tls_context_free(&c);
	return NULL;
}

void tls_context_free(struct tls_context **c)
{
	if (!*c)
		return;
	SSL_CTX_free((*c)->ssl);
	tls_tickets_free(&(*c)->tickets);
	tls_anchors_free(&(*c)->anchors);
	x_free(c);
}
