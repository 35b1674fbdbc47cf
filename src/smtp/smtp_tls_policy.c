#include "base/log.h"
#include "smtp/smtp_tls.h"
#include "tls/tls_cache.h"

#define SEPARATORS " \t\r\n,"

static const char *const level_names[] = {
	[SMTP_TLS_NONE] = "none",
	[SMTP_TLS_MAY] = "may",
	[SMTP_TLS_ENCRYPT] = "encrypt",
	[SMTP_TLS_DANE] = "dane",
	[SMTP_TLS_DANE_ONLY] = "dane-only",
	[SMTP_TLS_FINGERPRINT] = "fingerprint",
	[SMTP_TLS_VERIFY] = "verify",
	[SMTP_TLS_SECURE] = "secure",
};

static bool find_level(struct str name, enum smtp_tls_level *level)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++)
		if (str_case_is(name, level_names[i])) {
			*level = (enum smtp_tls_level)i;
			return true;
		}
	return false;
}

/* The old switches count while no level is set. */
static bool default_level(const struct config *cfg, enum smtp_tls_level *level, struct err *err)
{
	const char *name = cfg->smtp_tls_security_level;

	*level = SMTP_TLS_NONE;
	if (name[0])
		return find_level(str_c(name), level) ||
		       err_set(err, "smtp_tls_security_level: \"%s\" is not supported", name);
	if (cfg->smtp_enforce_tls)
		*level = cfg->smtp_tls_enforce_peername ? SMTP_TLS_VERIFY : SMTP_TLS_ENCRYPT;
	else if (cfg->smtp_use_tls)
		*level = SMTP_TLS_MAY;
	return true;
}

/* A cache that cannot be used costs full handshakes and no more. */
static void open_session_cache(struct smtp_client *c)
{
	const char *map = c->cfg->smtp_tls_session_cache_database;
	int seconds = tls_cache_seconds(c->cfg->smtp_tls_session_cache_timeout);
	struct err err = {""};

	if (!map[0] || seconds == 0)
		return;
	c->tls_cache = tls_cache_open(c->cfg,
		c->lmtp ? "lmtp_tls_session_cache_database" : "smtp_tls_session_cache_database", map, seconds,
		log_warn, &err);
	if (!c->tls_cache)
		log_warning("%s", err.text);
}

bool smtp_tls_open(struct smtp_client *c, struct err *err)
{
	const struct config *cfg = c->cfg;
	struct tls_client_options o = {.chain_files = cfg->smtp_tls_chain_files,
		.cert_file = cfg->smtp_tls_cert_file,
		.key_file = cfg->smtp_tls_key_file,
		.eccert_file = cfg->smtp_tls_eccert_file,
		.eckey_file = cfg->smtp_tls_eckey_file,
		.dcert_file = cfg->smtp_tls_dcert_file,
		.dkey_file = cfg->smtp_tls_dkey_file,
		.common = tls_common_settings(cfg, log_warn),
		.anchor_files = cfg->smtp_tls_trust_anchor_file,
		.long_wildcards = cfg->tls_wildcard_matches_multiple_labels,
		.dane_digests = cfg->tls_dane_digests,
		.ca_file = cfg->smtp_tls_CAfile,
		.ca_path = cfg->smtp_tls_CApath,
		.verify_depth = cfg->smtp_tls_scert_verifydepth,
		.fingerprint_digest = cfg->smtp_tls_fingerprint_digest};
	enum smtp_tls_level level;

	c->tls_policies = maps_open("smtp_tls_policy_maps", cfg->smtp_tls_policy_maps, 0, err);
	if (!c->tls_policies || !default_level(cfg, &level, err))
		return false;
	if (maps_empty(c->tls_policies) && cfg->smtp_tls_per_site[0]) {
		c->tls_sites = maps_open("smtp_tls_per_site", cfg->smtp_tls_per_site, TABLE_FOLD, err);
		if (!c->tls_sites)
			return false;
	}
	if (cfg->smtp_tls_wrappermode && level < SMTP_TLS_ENCRYPT)
		level = SMTP_TLS_ENCRYPT;
	c->tls_level = level;
	if (level == SMTP_TLS_DANE && strcmp(cfg->smtp_dns_support_level, "dnssec") != 0)
		log_warning("smtp_tls_security_level = dane without smtp_dns_support_level = dnssec is the "
			    "same as may");
	if (level == SMTP_TLS_NONE && maps_empty(c->tls_policies) && !c->tls_sites)
		return true;
	if (!tls_library_start(cfg, err))
		return false;
	open_session_cache(c);
	o.service = config_text(cfg, "service_name");
	o.cache = c->tls_cache;
	c->tls = tls_client_context(&o, err);
	return c->tls;
}

void smtp_tls_set_level(
	const struct config *cfg, struct pool *pool, struct smtp_tls_policy *p, enum smtp_tls_level level)
{
	bool mandatory = level >= SMTP_TLS_ENCRYPT;

	p->level = level;
	p->anchor_files = "";
	p->protocols = mandatory ? cfg->smtp_tls_mandatory_protocols : cfg->smtp_tls_protocols;
	p->grade = mandatory ? cfg->smtp_tls_mandatory_ciphers : cfg->smtp_tls_ciphers;
	p->exclude = mandatory ? pool_printf(pool, "%s %s", cfg->smtp_tls_exclude_ciphers,
					 cfg->smtp_tls_mandatory_exclude_ciphers)
			       : cfg->smtp_tls_exclude_ciphers;
	p->servername = cfg->smtp_tls_servername;
	p->match = p->level == SMTP_TLS_FINGERPRINT ? cfg->smtp_tls_fingerprint_cert_match
		   : p->level == SMTP_TLS_VERIFY    ? cfg->smtp_tls_verify_cert_match
						    : cfg->smtp_tls_secure_cert_match;
}

static bool attribute(struct pool *pool, struct str word, struct smtp_tls_policy *p)
{
	ptrdiff_t equals = str_find(word, '=');
	struct str name = str_first(word, equals < 0 ? 0 : (size_t)equals);
	const char *value =
		equals < 0 ? "" : pool_strndup(pool, word.p + equals + 1, word.n - (size_t)equals - 1);

	if (!value[0])
		return false;
	if (str_case_is(name, "protocols"))
		p->protocols = value;
	else if (str_case_is(name, "ciphers"))
		p->grade = value;
	else if (str_case_is(name, "exclude"))
		p->exclude = value;
	else if (str_case_is(name, "match"))
		p->match = p->level == SMTP_TLS_FINGERPRINT && p->match[0]
				   ? pool_printf(pool, "%s|%s", p->match, value)
				   : value;
	else if (str_case_is(name, "servername"))
		p->servername = value;
	else if (str_case_is(name, "tafile") && p->level >= SMTP_TLS_VERIFY)
		p->anchor_files = pool_printf(pool, "%s %s", p->anchor_files, value);
	else
		return false;
	return true;
}

/* A table's entry: the level, then attributes. */
static bool parse_entry(
	const struct config *cfg, struct pool *pool, struct str entry, struct smtp_tls_policy *p)
{
	struct str word;

	if (!str_word(&entry, SEPARATORS, &word) || !find_level(word, &p->level))
		return false;
	smtp_tls_set_level(cfg, pool, p, p->level);
	if (p->level == SMTP_TLS_FINGERPRINT)
		p->match = "";
	while (str_word(&entry, SEPARATORS, &word))
		if (!attribute(pool, word, p))
			return false;
	return p->level != SMTP_TLS_FINGERPRINT || p->match[0] || cfg->smtp_tls_fingerprint_cert_match[0];
}

static struct str without_type(struct str text)
{
	if (str_starts(text, STR("inet:")) || str_starts(text, STR("unix:")))
		return str_from(text, 5);
	return text;
}

/* The destination as written; for a plain domain also its parents, each with a leading dot. */
static enum table_status lookup(
	struct maps *maps, struct str key, bool plain, struct buf *value, struct err *err)
{
	enum table_status status = maps_lookup(maps, key, value, err);

	while (plain && status == TABLE_NOT_FOUND) {
		ptrdiff_t dot = str_find(str_from(key, 1), '.');

		if (dot < 0)
			break;
		key = str_from(key, (size_t)dot + 1);
		status = maps_lookup(maps, key, value, err);
	}
	return status;
}

static bool from_table(struct smtp_delivery *d, struct str text, const struct smtp_destination *to,
	struct smtp_tls_policy *p, struct dsn **why)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	char *key = pool_strndup(d->pool, text.p, text.n);
	bool plain = !to->path && !strpbrk(key, "[]:");
	struct err err = {""};
	enum table_status status;
	bool ok = true;

	ascii_lower(key);
	status = lookup(d->client->tls_policies, str_c(key), plain, &value, &err);
	if (status == TABLE_FOUND && !parse_entry(d->client->cfg, d->pool, buf_slice(&value), p)) {
		log_warning("smtp_tls_policy_maps: %s: bad entry \"%s\"", key, buf_cstr(&value));
		ok = false;
	} else if (status == TABLE_RETRY || status == TABLE_MISCONFIGURED) {
		log_warning("smtp_tls_policy_maps: %s: %s", key, err.text);
		ok = false;
	}
	buf_free(&value);
	if (!ok)
		*why = dsn_make(d->pool, DSN_DELAYED, "4.7.5", "client TLS configuration problem");
	return ok;
}

bool smtp_tls_policy(struct smtp_delivery *d, struct str text, const struct smtp_destination *to,
	struct smtp_tls_policy *out, struct dsn **why)
{
	const struct config *cfg = d->client->cfg;

	*out = (struct smtp_tls_policy){.level = (enum smtp_tls_level)d->client->tls_level};
	out->nexthop = to->path ? cfg->myhostname : to->host;
	smtp_tls_set_level(cfg, d->pool, out, out->level);
	if (!maps_empty(d->client->tls_policies) && !from_table(d, without_type(text), to, out, why))
		return false;
	text = without_type(text);
	if (!smtp_tls_site(d, pool_strndup(d->pool, text.p, text.n), out, why))
		return false;
	smtp_tls_adjust(d, out);
	return true;
}

void smtp_tls_adjust(struct smtp_delivery *d, struct smtp_tls_policy *p)
{
	const struct config *cfg = d->client->cfg;

	if (p->level == SMTP_TLS_DANE && strcmp(cfg->smtp_dns_support_level, "dnssec") != 0)
		smtp_tls_set_level(cfg, d->pool, p, SMTP_TLS_MAY);
	if (cfg->smtp_tls_wrappermode && p->level < SMTP_TLS_ENCRYPT)
		smtp_tls_set_level(cfg, d->pool, p, SMTP_TLS_ENCRYPT);
}

const char *smtp_tls_key(struct pool *pool, const struct smtp_tls_policy *p, const char *host)
{
	if (p->level == SMTP_TLS_NONE)
		return "";
	return pool_printf(pool, " %s %s %s %s %s %s %s %s %s", level_names[p->level], p->protocols, p->grade,
		p->exclude, p->servername,
		p->level >= SMTP_TLS_FINGERPRINT ? p->match
		: p->tlsa_base			 ? p->tlsa_base
						 : "",
		p->anchor_files, p->nexthop, host ? host : "");
}
