#include "tls/tls_internal.h"

#define SEPARATORS " \t\r\n,:"

struct version {
	const char *name;
	int number;
	uint64_t off; /* option that rules it out; 0: the library no longer has it */
};

static const struct version versions[] = {
	{"SSLv2", 0x0002, 0},
	{"SSLv3", SSL3_VERSION, SSL_OP_NO_SSLv3},
	{"TLSv1", TLS1_VERSION, SSL_OP_NO_TLSv1},
	{"TLSv1.0", TLS1_VERSION, SSL_OP_NO_TLSv1},
	{"TLSv1.1", TLS1_1_VERSION, SSL_OP_NO_TLSv1_1},
	{"TLSv1.2", TLS1_2_VERSION, SSL_OP_NO_TLSv1_2},
	{"TLSv1.3", TLS1_3_VERSION, SSL_OP_NO_TLSv1_3},
};

#define ALL_OFF                                                                                              \
	(SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_TLSv1_2 | SSL_OP_NO_TLSv1_3)

struct choice {
	uint64_t excluded, included; /* SSL_OP_NO_ bits */
	bool positive;		     /* some version was named without '!' */
	int low, high;		     /* 0: no limit */
};

static const struct version *find_version(struct str name)
{
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
		if (str_case_is(name, versions[i].name))
			return &versions[i];
	return NULL;
}

/* A bound may also be a number as the library writes it, "0303" or "0x0303". -1: neither. */
static int bound(struct str name)
{
	const struct version *v = find_version(name);
	char digits[5] = "", *end;
	long n;

	if (v)
		return v->off ? v->number : SSL3_VERSION;
	if (str_case_starts(name, STR("0x")))
		name = str_from(name, 2);
	if (name.n == 0 || name.n > sizeof(digits) - 1)
		return -1;
	memcpy(digits, name.p, name.n);
	n = strtol(digits, &end, 16);
	return *end ? -1 : (int)n;
}

static bool take(struct choice *c, struct str word)
{
	const struct version *v;

	if (str_starts(word, STR(">=")))
		return (c->low = bound(str_from(word, 2))) >= 0;
	if (str_starts(word, STR("<=")))
		return (c->high = bound(str_from(word, 2))) >= 0;
	if (str_starts(word, STR("!"))) {
		v = find_version(str_from(word, 1));
		c->excluded |= v ? v->off : 0;
		return v;
	}
	v = find_version(word);
	c->included |= v ? v->off : 0;
	c->positive = true;
	return v;
}

bool tls_parse_protocols(const char *list, struct tls_versions *out, struct err *err)
{
	struct str rest = str_c(list), word;
	struct choice c = {0};

	while (str_word(&rest, SEPARATORS, &word))
		if (!take(&c, word))
			return err_set(err, "unknown TLS protocol: " STR_FMT, STR_ARG(word));
	if (c.positive)
		c.excluded |= ALL_OFF & ~c.included;
	if ((c.excluded & ALL_OFF) == ALL_OFF)
		return err_set(err, "no TLS protocol is left by: %s", list);
	*out = (struct tls_versions){c.low, c.high, c.excluded};
	return true;
}

/* Everything is said in any case, so that the library's system-wide settings do not count. */
bool tls_set_protocols(SSL_CTX *ctx, const char *list, struct err *err)
{
	struct tls_versions v;

	if (!tls_parse_protocols(list, &v, err))
		return false;
	SSL_CTX_clear_options(ctx, ALL_OFF);
	if (!SSL_CTX_set_min_proto_version(ctx, v.low) || !SSL_CTX_set_max_proto_version(ctx, v.high))
		return tls_error(err, "TLS protocols \"%s\"", list);
	SSL_CTX_set_options(ctx, v.off);
	return true;
}

bool tls_set_session_protocols(SSL *ssl, const char *list, struct err *err)
{
	struct tls_versions v;

	if (!tls_parse_protocols(list, &v, err))
		return false;
	SSL_clear_options(ssl, ALL_OFF);
	if (!SSL_set_min_proto_version(ssl, v.low) || !SSL_set_max_proto_version(ssl, v.high))
		return tls_error(err, "TLS protocols \"%s\"", list);
	SSL_set_options(ssl, v.off);
	return true;
}

static void join_ciphers(const char *list, const char *exclude, struct buf *all)
{
	struct str rest = str_c(exclude), word;

	buf_puts(all, list && list[0] ? list : "DEFAULT");
	while (str_word(&rest, SEPARATORS, &word))
		buf_printf(all, ":!" STR_FMT, STR_ARG(word));
}

static bool ciphers_set(bool ok, struct buf *all, struct err *err)
{
	if (!ok)
		tls_error(err, "no usable ciphers in \"%.200s\"", buf_cstr(all));
	buf_free(all);
	return ok;
}

bool tls_set_ciphers(SSL_CTX *ctx, const char *list, const char *exclude, struct err *err)
{
	struct buf all = BUF(65536);

	join_ciphers(list, exclude, &all);
	return ciphers_set(!all.over && SSL_CTX_set_cipher_list(ctx, buf_cstr(&all)), &all, err);
}

bool tls_set_session_ciphers(SSL *ssl, const char *list, const char *exclude, struct err *err)
{
	struct buf all = BUF(65536);

	join_ciphers(list, exclude, &all);
	return ciphers_set(!all.over && SSL_set_cipher_list(ssl, buf_cstr(&all)), &all, err);
}
