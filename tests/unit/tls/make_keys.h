/* Throw-away keys and self-signed certificates for the tests of this folder. */
#ifndef MAKE_KEYS_H
#define MAKE_KEYS_H

#include <openssl/ssl.h>

struct made {
	EVP_PKEY *key;
	X509 *cert;
};

struct made make_keys(const char *common_name); /* EC P-256 */
void made_free(struct made *m);

enum { WRITE_KEY = 1, WRITE_CERT = 2, WRITE_KEY_AFTER = 4, WRITE_JUNK = 8 };
/* A PEM file in dir with the wanted parts, in this order: junk block, key, certificate, key. path needs 128
 * bytes. */
void write_pem(const char *dir, const char *name, const struct made *m, int parts, char path[128]);

#endif
