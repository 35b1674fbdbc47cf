/* What is wrong with the other side's chain, in the words that Postfix has for the log. */
#include <openssl/x509v3.h>

#include "tls/tls_internal.h"

#define NAME_TEXT 256

static const char *holder(SSL *ssl, int depth)
{
	if (depth > 0)
		return "CA certificate";
	return SSL_is_server(ssl) ? "client certificate" : "server certificate";
}

static const char *issuer(struct pool *pool, const X509 *cert)
{
	char name[NAME_TEXT] = "";

	if (cert)
		X509_NAME_oneline(X509_get_issuer_name(cert), name, sizeof(name));
	return pool_printf(pool, "untrusted issuer %s", name);
}

static const char *problem(struct tls_session *t, X509_STORE_CTX *store, int error)
{
	switch (error) {
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		return issuer(t->pool, X509_STORE_CTX_get_current_cert(store));
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		return "self-signed certificate";
	case X509_V_ERR_INVALID_PURPOSE:
		return pool_printf(t->pool, "not designated for use as a %s",
			holder(t->ssl, X509_STORE_CTX_get_error_depth(store)));
	case X509_V_ERR_CERT_CHAIN_TOO_LONG:
		return pool_printf(
			t->pool, "certificate chain longer than limit(%d)", SSL_get_verify_depth(t->ssl));
	case X509_V_ERR_CERT_NOT_YET_VALID:
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return X509_verify_cert_error_string(error);
	default:
		return pool_printf(t->pool, "num=%d:%s", error, X509_verify_cert_error_string(error));
	}
}

/* Some problems speak for themselves, of others one must know whose they are. */
static bool names_holder(int error)
{
	return error != X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY &&
	       error != X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE &&
	       error != X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN &&
	       error != X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT && error != X509_V_ERR_INVALID_PURPOSE &&
	       error != X509_V_ERR_CERT_CHAIN_TOO_LONG;
}

int tls_note_problem(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_session *t = SSL_get_app_data(ssl);
	int error = X509_STORE_CTX_get_error(store);

	if (ok || !t || *t->info.problem)
		return ok;
	t->info.problem = problem(t, store, error);
	t->info.problem_of =
		names_holder(error) ? holder(ssl, X509_STORE_CTX_get_error_depth(store)) : "certificate";
	return ok;
}
