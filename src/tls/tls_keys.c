/* Private keys and certificate chains from PEM files. */
#include <openssl/err.h>
#include <openssl/pem.h>

#include "tls/tls_internal.h"

/* What was read so far of the current key and its chain; lives while the files are read. */
struct chain {
	SSL_CTX *ctx; /* what gets them: a context, or */
	SSL *ssl;     /* one session */
	EVP_PKEY *key;
	X509 *leaf;
	STACK_OF(X509) * others;
	size_t pairs; /* finished */
};

static void chain_clear(struct chain *c)
{
	EVP_PKEY_free(c->key);
	X509_free(c->leaf);
	sk_X509_pop_free(c->others, X509_free);
	c->key = NULL;
	c->leaf = NULL;
	c->others = NULL;
}

static bool chain_finish(struct chain *c, const char *file, struct err *err)
{
	bool ok;

	if (!c->key)
		return true;
	if (!c->leaf)
		return err_set(err, "%s: a private key is not followed by its certificate", file);
	ok = (c->ssl ? SSL_use_cert_and_key(c->ssl, c->leaf, c->key, c->others, 1)
		     : SSL_CTX_use_cert_and_key(c->ctx, c->leaf, c->key, c->others, 1)) == 1;
	if (!ok)
		tls_error(err, "%s: certificate and key do not fit", file);
	c->pairs++;
	chain_clear(c);
	return ok;
}

static bool chain_key(struct chain *c, const char *file, const unsigned char *der, long len, struct err *err)
{
	if (!chain_finish(c, file, err))
		return false;
	c->key = d2i_AutoPrivateKey(NULL, &der, len);
	return c->key || tls_error(err, "%s: cannot read a private key", file);
}

static bool chain_certificate(
	struct chain *c, const char *file, const unsigned char *der, long len, struct err *err)
{
	X509 *cert = d2i_X509(NULL, &der, len);

	if (!cert)
		return tls_error(err, "%s: cannot read a certificate", file);
	if (!c->key) {
		X509_free(cert);
		return err_set(err, "%s: a certificate comes before its private key", file);
	}
	if (!c->leaf) {
		c->leaf = cert;
		return true;
	}
	if (!c->others)
		c->others = sk_X509_new_null();
	if (!sk_X509_push(c->others, cert)) {
		X509_free(cert);
		return tls_error(err, "%s: certificate chain", file);
	}
	return true;
}

/* Blocks of other kinds, such as EC PARAMETERS, are passed over. */
static bool chain_block(struct chain *c, const char *file, const char *kind, const unsigned char *der,
	long len, struct err *err)
{
	if (strcmp(kind, PEM_STRING_PKCS8) == 0)
		return err_set(err, "%s: encrypted private keys are not supported", file);
	if (str_ends(str_c(kind), STR("PRIVATE KEY")))
		return chain_key(c, file, der, len, err);
	if (strcmp(kind, PEM_STRING_X509) == 0 || strcmp(kind, PEM_STRING_X509_OLD) == 0)
		return chain_certificate(c, file, der, len, err);
	return true;
}

static bool chain_text(struct chain *c, const char *file, BIO *in, struct err *err)
{
	char *kind, *header;
	unsigned char *der;
	long len;
	bool ok = true;

	while (ok && PEM_read_bio(in, &kind, &header, &der, &len)) {
		ok = chain_block(c, file, kind, der, len, err);
		OPENSSL_free(kind);
		OPENSSL_free(header);
		OPENSSL_clear_free(der, (size_t)len);
	}
	if (ok && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return tls_error(err, "%s: damaged PEM block", file);
	ERR_clear_error();
	return ok;
}

static bool chain_file(struct chain *c, const char *file, struct err *err)
{
	BIO *in = BIO_new_file(file, "r");
	bool ok = in ? chain_text(c, file, in, err) : tls_error(err, "cannot open %s", file);

	BIO_free(in);
	return ok;
}

/* In place of all that the context has: a name's own keys, of whatever kinds. */
bool tls_use_chains(SSL *ssl, const char *what, struct str pem, struct err *err)
{
	struct chain c = {.ssl = ssl};
	BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
	bool ok;

	ERR_clear_error();
	SSL_certs_clear(ssl);
	ok = in ? chain_text(&c, what, in, err) : tls_error(err, "%s", what);
	ok = ok && chain_finish(&c, what, err);
	chain_clear(&c);
	BIO_free(in);
	return ok && (c.pairs > 0 || err_set(err, "%s: no certificate found", what));
}

bool tls_load_chain_files(SSL_CTX *ctx, const char *files, struct err *err)
{
	struct chain c = {.ctx = ctx};
	struct str rest = str_c(files), word;
	char *file = NULL;
	bool ok = true;

	while (ok && str_word(&rest, " \t\r\n,", &word)) {
		x_free(&file);
		file = x_strndup(word.p, word.n);
		ok = chain_file(&c, file, err);
	}
	ok = ok && chain_finish(&c, file ? file : "", err);
	chain_clear(&c);
	if (ok && c.pairs == 0)
		ok = err_set(err, "%s: no certificate found", files);
	x_free(&file);
	return ok;
}

bool tls_load_pair(SSL_CTX *ctx, const char *cert_file, const char *key_file, struct err *err)
{
	if (!key_file || !key_file[0])
		key_file = cert_file;
	if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
		return tls_error(err, "cannot load certificate file %s", cert_file);
	if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1)
		return tls_error(err, "cannot load private key file %s", key_file);
	if (SSL_CTX_check_private_key(ctx) != 1)
		return tls_error(
			err, "private key in %s is not that of the certificate in %s", key_file, cert_file);
	return true;
}
