/* Settings that servers and clients have in common. */
#include <openssl/err.h>
#include <openssl/objects.h>

#include "config/config.h"
#include "tls/tls_internal.h"

#define SEPARATORS " \t\r\n,:"
#define GROUPS_MAX 4096

struct tls_common tls_common_settings(const struct config *cfg, tls_warn_fn *warn)
{
	return (struct tls_common){.curves = cfg->tls_eecdh_auto_curves,
		.groups = cfg->tls_ffdhe_auto_groups,
		.workarounds_off = cfg->tls_disable_workarounds,
		.options = cfg->tls_ssl_options,
		.wait_for_end = !cfg->tls_fast_shutdown_enable,
		.warn = warn};
}

const char *tls_cipher_list(const struct config *cfg, const char *grade)
{
	if (strcmp(grade, "high") == 0)
		return cfg->tls_high_cipherlist;
	if (strcmp(grade, "null") == 0)
		return cfg->tls_null_cipherlist;
	if (strcmp(grade, "low") == 0)
		return cfg->tls_low_cipherlist;
	if (strcmp(grade, "export") == 0)
		return cfg->tls_export_cipherlist;
	return cfg->tls_medium_cipherlist;
}

/* ---- the library's own configuration */

bool tls_library_start(const struct config *cfg, struct err *err)
{
	const char *file = cfg->tls_config_file, *name = cfg->tls_config_name;
	OPENSSL_INIT_SETTINGS *settings;
	bool ok;

	if (strcmp(file, "none") == 0)
		return OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1 ||
		       tls_error(err, "TLS library");
	if (strcmp(file, "default") == 0 && !name[0])
		return true;
	if (strcmp(file, "default") != 0 && file[0] != '/')
		return err_set(err, "tls_config_file: neither default, none nor a full path: %s", file);
	settings = OPENSSL_INIT_new();
	ok = settings && (!name[0] || OPENSSL_INIT_set_config_appname(settings, name));
	if (ok && file[0] == '/') {
		ok = OPENSSL_INIT_set_config_filename(settings, file);
		OPENSSL_INIT_set_config_file_flags(settings, 0);
	}
	ok = ok && OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, settings) == 1;
	OPENSSL_INIT_free(settings);
	return ok || tls_error(err, "tls_config_file: %s", file);
}

/* ---- option words */

struct word {
	const char *name;
	uint64_t bit;
};

static const struct word workarounds[] = {
	{"CRYPTOPRO_TLSEXT_BUG", SSL_OP_CRYPTOPRO_TLSEXT_BUG},
	{"DONT_INSERT_EMPTY_FRAGMENTS", SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS},
	{"LEGACY_SERVER_CONNECT", SSL_OP_LEGACY_SERVER_CONNECT},
	{"TLSEXT_PADDING", SSL_OP_TLSEXT_PADDING},
	/* The library has no such work-around any more. */
	{"MICROSOFT_BIG_SSLV3_BUFFER", 0},
	{"MICROSOFT_SESS_ID_BUG", 0},
	{"MSIE_SSLV2_RSA_PADDING", 0},
	{"CVE-2005-2969", 0},
	{"NETSCAPE_CHALLENGE_BUG", 0},
	{"NETSCAPE_REUSE_CIPHER_CHANGE_BUG", 0},
	{"CVE-2010-4180", 0},
	{"SSLEAY_080_CLIENT_DH_BUG", 0},
	{"SSLREF2_REUSE_CERT_TYPE_BUG", 0},
	{"TLS_BLOCK_PADDING_BUG", 0},
	{"TLS_D5_BUG", 0},
	{"TLS_ROLLBACK_BUG", 0},
};

static const struct word options[] = {
	{"ENABLE_MIDDLEBOX_COMPAT", SSL_OP_ENABLE_MIDDLEBOX_COMPAT},
	{"LEGACY_SERVER_CONNECT", SSL_OP_LEGACY_SERVER_CONNECT},
	{"NO_TICKET", SSL_OP_NO_TICKET},
	{"NO_COMPRESSION", SSL_OP_NO_COMPRESSION},
	{"NO_RENEGOTIATION", SSL_OP_NO_RENEGOTIATION},
	{"NO_SESSION_RESUMPTION_ON_RENEGOTIATION", SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION},
	{"PRIORITIZE_CHACHA", SSL_OP_PRIORITIZE_CHACHA},
};

/* What other parameters say, and what must not be had. */
#define NOT_BY_MASK                                                                                          \
	(SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_TLSv1_2 | SSL_OP_NO_TLSv1_3 |     \
		SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION |                 \
		SSL_OP_ALLOW_CLIENT_RENEGOTIATION)

static bool parse_mask(struct str text, uint64_t *bits)
{
	char digits[32], *end;

	if (!str_case_starts(text, STR("0x")) || text.n < 3 || text.n >= sizeof(digits))
		return false;
	memcpy(digits, text.p, text.n);
	digits[text.n] = '\0';
	*bits = strtoull(digits, &end, 16);
	return *end == '\0';
}

static bool find_word(struct str name, const struct word *words, size_t n, uint64_t *bits)
{
	for (size_t i = 0; i < n; i++) {
		if (str_case_is(name, words[i].name)) {
			*bits |= words[i].bit;
			return true;
		}
	}
	return false;
}

static void pass_over(const struct tls_common *c, const char *parameter, struct str name)
{
	struct err err;

	err_set(&err, "%s: \"" STR_FMT "\" is unknown", parameter, STR_ARG(name));
	if (c->warn)
		c->warn(NULL, err.text);
}

static uint64_t parse_words(const struct tls_common *c, const char *parameter, const char *list,
	const struct word *words, size_t n)
{
	struct str rest = str_c(list ? list : ""), name;
	uint64_t bits = 0;

	if (parse_mask(str_trim(rest), &bits))
		return bits;
	while (str_word(&rest, SEPARATORS, &name))
		if (!find_word(name, words, n, &bits))
			pass_over(c, parameter, name);
	return bits;
}

static void set_options(SSL_CTX *ctx, const struct tls_common *c)
{
	uint64_t off = parse_words(c, "tls_disable_workarounds", c->workarounds_off, workarounds,
		sizeof(workarounds) / sizeof(*workarounds));
	uint64_t on =
		parse_words(c, "tls_ssl_options", c->options, options, sizeof(options) / sizeof(*options));

	SSL_CTX_set_options(ctx, (SSL_OP_ALL & ~off) | (on & ~NOT_BY_MASK));
	SSL_CTX_clear_options(ctx, off & ~on & (SSL_OP_ALL | SSL_OP_LEGACY_SERVER_CONNECT));
}

/* ---- groups */

/* Those that the library knows; each alone is tried, so that one of the future does no harm. */
static void add_groups(
	SSL_CTX *ctx, const struct tls_common *c, const char *parameter, const char *list, struct buf *out)
{
	struct str rest = str_c(list ? list : ""), name;

	while (str_word(&rest, SEPARATORS, &name)) {
		char *one = x_strndup(name.p, name.n);

		if (SSL_CTX_set1_groups_list(ctx, one) == 1)
			buf_printf(out, "%s%s", out->len > 0 ? ":" : "", one);
		else
			pass_over(c, parameter, name);
		x_free(&one);
	}
	ERR_clear_error();
}

static bool set_groups(SSL_CTX *ctx, const struct tls_common *c, struct err *err)
{
	struct buf all = BUF(GROUPS_MAX);
	bool ok;

	if ((!c->curves || !c->curves[0]) && (!c->groups || !c->groups[0]))
		return true;
	add_groups(ctx, c, "tls_eecdh_auto_curves", c->curves, &all);
	add_groups(ctx, c, "tls_ffdhe_auto_groups", c->groups, &all);
	ok = all.len > 0 && !all.over && SSL_CTX_set1_groups_list(ctx, buf_cstr(&all)) == 1;
	buf_free(&all);
	return ok ||
	       tls_error(err,
		       "no usable group for key exchange in tls_eecdh_auto_curves and tls_ffdhe_auto_groups");
}

bool tls_set_common(SSL_CTX *ctx, const struct tls_common *c, struct err *err)
{
	set_options(ctx, c);
	return set_groups(ctx, c, err);
}
