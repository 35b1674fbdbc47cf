#include "make_keys.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

static void add_name(X509 *cert, const char *dns_name)
{
	char text[300];
	X509_EXTENSION *ext;

	snprintf(text, sizeof(text), "DNS:%s", dns_name);
	ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, text);
	X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
}

struct made make_keys(const char *common_name)
{
	struct made m = {EVP_EC_gen("P-256"), X509_new()};
	X509_NAME *name = X509_get_subject_name(m.cert);

	X509_set_version(m.cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(m.cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(m.cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(m.cert), 3600);
	X509_set_pubkey(m.cert, m.key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)common_name, -1, -1, 0);
	X509_set_issuer_name(m.cert, name);
	add_name(m.cert, "name.example");
	X509_sign(m.cert, m.key, EVP_sha256());
	return m;
}

void made_free(struct made *m)
{
	EVP_PKEY_free(m->key);
	X509_free(m->cert);
}

void write_pem(const char *dir, const char *name, const struct made *m, int parts, char path[128])
{
	static const unsigned char junk[] = "\6\10*\206H\316=\3\1\7";
	FILE *f;

	snprintf(path, 128, "%s/%s", dir, name);
	f = fopen(path, "w");
	if (parts & WRITE_JUNK)
		PEM_write(f, "EC PARAMETERS", "", junk, sizeof(junk) - 1);
	if (parts & WRITE_KEY)
		PEM_write_PrivateKey(f, m->key, NULL, NULL, 0, NULL, NULL);
	if (parts & WRITE_CERT)
		PEM_write_X509(f, m->cert);
	if (parts & WRITE_KEY_AFTER)
		PEM_write_PrivateKey(f, m->key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
}
