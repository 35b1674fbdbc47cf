#include <openssl/evp.h>
#include <sys/stat.h>

#include "tls/tls_internal.h"

/* Failures of the library show at the end: without memory the digest cannot be finished. */
EVP_MD_CTX *tls_identity_begin(void)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	if (md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(md);
		md = NULL;
	}
	return md;
}

void tls_identity_bytes(EVP_MD_CTX *md, const void *data, size_t n)
{
	uint64_t length = n;

	if (!md)
		return;
	EVP_DigestUpdate(md, &length, sizeof(length));
	EVP_DigestUpdate(md, data, n);
}

void tls_identity_text(EVP_MD_CTX *md, const char *text)
{
	tls_identity_bytes(md, text ? text : "", text ? strlen(text) : 0);
}

void tls_identity_keys(EVP_MD_CTX *md, SSL_CTX *ctx)
{
	unsigned char print[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	for (long more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_FIRST); more == 1;
		more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_NEXT)) {
		X509 *cert = SSL_CTX_get0_certificate(ctx);

		if (cert && X509_digest(cert, EVP_sha256(), print, &n))
			tls_identity_bytes(md, print, n);
	}
}

static void add_file_state(EVP_MD_CTX *md, const char *path)
{
	struct stat st;
	int64_t state[4] = {0};

	tls_identity_text(md, path);
	if (path && path[0] && stat(path, &st) == 0) {
		state[0] = (int64_t)st.st_ino;
		state[1] = (int64_t)st.st_size;
		state[2] = (int64_t)st.st_mtim.tv_sec;
		state[3] = (int64_t)st.st_mtim.tv_nsec;
	}
	tls_identity_bytes(md, state, sizeof(state));
}

void tls_identity_authorities(EVP_MD_CTX *md, const char *ca_file, const char *ca_path)
{
	add_file_state(md, ca_file);
	add_file_state(md, ca_path);
}

bool tls_identity_end(EVP_MD_CTX *md, unsigned char out[TLS_IDENTITY], struct err *err)
{
	unsigned n = 0;
	bool ok = md && EVP_DigestFinal_ex(md, out, &n) == 1 && n == TLS_IDENTITY;

	EVP_MD_CTX_free(md);
	return ok || tls_error(err, "SHA-256");
}
