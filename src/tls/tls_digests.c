/* Which digests TLSA records may have, and which is preferred (tls_dane_digests). */
#include <openssl/err.h>

#include "tls/tls_internal.h"

#define SEPARATORS " \t\r\n,"
#define DEFAULT_DIGESTS "sha512 sha256"

/* Matching types of RFC 6698; those of the future are given with their number. */
static int known_type(const char *name)
{
	if (ascii_casecmp(name, "sha256") == 0)
		return 1;
	return ascii_casecmp(name, "sha512") == 0 ? 2 : 0;
}

/* "sha512" or "sha512=2". 0: neither. */
static int parse(struct str word, char *name, size_t size)
{
	ptrdiff_t equals = str_find(word, '=');
	struct str head = equals < 0 ? word : str_first(word, (size_t)equals);
	uint64_t number = 0;
	int known;

	if (head.n == 0 || head.n >= size)
		return 0;
	memcpy(name, head.p, head.n);
	name[head.n] = '\0';
	known = known_type(name);
	if (equals < 0)
		return known;
	if (!str_to_u64(str_from(word, (size_t)equals + 1), 255, &number) || number == 0)
		return 0;
	return known == 0 || known == (int)number ? (int)number : 0;
}

static bool add_digest(struct tls_context *c, struct str word, uint8_t preference, struct err *err)
{
	char name[64];
	int type = parse(word, name, sizeof(name));
	const EVP_MD *md = type ? EVP_get_digestbyname(name) : NULL;

	if (!md || SSL_CTX_dane_mtype_set(c->ssl, md, (uint8_t)type, preference) <= 0) {
		ERR_clear_error();
		return err_set(err, "tls_dane_digests: " STR_FMT, STR_ARG(word));
	}
	c->tlsa_sizes[type] = (uint8_t)EVP_MD_get_size(md);
	return true;
}

bool tls_set_digests(struct tls_context *c, const char *list, struct err *err)
{
	struct str rest = str_c(list && list[0] ? list : DEFAULT_DIGESTS), word;
	uint8_t preference = 255;

	if (SSL_CTX_dane_enable(c->ssl) <= 0)
		return tls_error(err, "DANE");
	for (uint8_t type = 1; type <= 2; type++)
		SSL_CTX_dane_mtype_set(c->ssl, NULL, type, 0);
	while (str_word(&rest, SEPARATORS, &word))
		if (!add_digest(c, word, preference--, err))
			return false;
	return true;
}

bool tls_digest_listed(const struct tls_context *c, uint8_t type)
{
	return type == 0 || c->tlsa_sizes[type] > 0;
}

bool tls_tlsa_usable(const struct tls_context *c, const struct tls_tlsa *r)
{
	if ((r->usage != 2 && r->usage != 3) || r->selector > 1)
		return false;
	return r->type == 0 ? r->data.n > 0 : r->data.n > 0 && r->data.n == c->tlsa_sizes[r->type];
}
