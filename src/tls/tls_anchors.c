/* Certificates and keys that are trusted in place of the authorities (smtp_tls_trust_anchor_file, tafile). */
#include <openssl/err.h>
#include <openssl/pem.h>

#include "tls/tls_internal.h"

#define FILE_NAMES " \t\r\n,"
#define ANCHORS_MAX 1000
#define DANE_TA 2 /* RFC 6698: the record vouches for a chain */
#define WHOLE_CERTIFICATE 0
#define PUBLIC_KEY 1

struct anchor {
	uint8_t selector;
	size_t size;
	unsigned char *der; /* the library's memory */
};

struct tls_anchors {
	struct anchor *list;
	size_t count;
};

static void add(struct tls_anchors *a, uint8_t selector, unsigned char *der, long size)
{
	a->list = x_realloc(a->list, (a->count + 1) * sizeof(*a->list));
	a->list[a->count++] = (struct anchor){selector, (size_t)size, der};
}

static bool is_certificate(const char *kind)
{
	return strcmp(kind, PEM_STRING_X509) == 0 || strcmp(kind, PEM_STRING_X509_OLD) == 0 ||
	       strcmp(kind, PEM_STRING_X509_TRUSTED) == 0;
}

/* true: der is kept. */
static bool take(struct tls_anchors *a, const char *kind, unsigned char *der, long size)
{
	if (a->count >= ANCHORS_MAX || (!is_certificate(kind) && strcmp(kind, PEM_STRING_PUBLIC) != 0))
		return false;
	add(a, is_certificate(kind) ? WHOLE_CERTIFICATE : PUBLIC_KEY, der, size);
	return true;
}

static bool read_file(struct tls_anchors *a, const char *file, struct err *err)
{
	BIO *in = BIO_new_file(file, "r");
	size_t before = a->count;
	char *kind, *header;
	unsigned char *der;
	long size;

	if (!in)
		return tls_error(err, "cannot open %s", file);
	while (PEM_read_bio(in, &kind, &header, &der, &size)) {
		if (!take(a, kind, der, size))
			OPENSSL_free(der);
		OPENSSL_free(kind);
		OPENSSL_free(header);
	}
	BIO_free(in);
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return tls_error(err, "%s: damaged PEM block", file);
	ERR_clear_error();
	return a->count > before || err_set(err, "%s: neither certificate nor public key", file);
}

struct tls_anchors *tls_anchors_read(const char *files, struct err *err)
{
	struct tls_anchors *a = x_alloc(sizeof(*a));
	struct str rest = str_c(files), word;
	bool ok = true;

	ERR_clear_error();
	while (ok && str_word(&rest, FILE_NAMES, &word)) {
		char *file = x_strndup(word.p, word.n);

		ok = read_file(a, file, err);
		x_free(&file);
	}
	if (!ok)
		tls_anchors_free(&a);
	return a;
}

void tls_anchors_free(struct tls_anchors **anchors)
{
	struct tls_anchors *a = *anchors;

	if (!a)
		return;
	for (size_t i = 0; i < a->count; i++)
		OPENSSL_free(a->list[i].der);
	x_free(&a->list);
	x_free(anchors);
}

/* As records of DANE they vouch for chains whether or not they are roots, and nobody else does. Names are
 * judged afterwards, as ever. */
bool tls_anchors_apply(SSL *ssl, const struct tls_anchors *a, struct err *err)
{
	size_t usable = 0;

	if (SSL_dane_enable(ssl, NULL) <= 0)
		return tls_error(err, "trust anchors");
	for (size_t i = 0; i < a->count; i++) {
		const struct anchor *one = &a->list[i];

		if (SSL_dane_tlsa_add(ssl, DANE_TA, one->selector, 0, one->der, one->size) > 0)
			usable++;
	}
	ERR_clear_error();
	return usable > 0 || err_set(err, "no usable trust anchor");
}

void tls_identity_anchors(EVP_MD_CTX *md, const struct tls_anchors *a)
{
	for (size_t i = 0; a && i < a->count; i++)
		tls_identity_bytes(md, a->list[i].der, a->list[i].size);
}
