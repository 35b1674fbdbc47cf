#include <ctype.h>

#include "base/log.h"
#include "mail/address.h"
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
	if (!p->said.protocols)
		p->protocols = mandatory ? cfg->smtp_tls_mandatory_protocols : cfg->smtp_tls_protocols;
	if (!p->said.grade)
		p->grade = mandatory ? cfg->smtp_tls_mandatory_ciphers : cfg->smtp_tls_ciphers;
	if (!p->said.exclude)
		p->exclude = mandatory ? pool_printf(pool, "%s %s", cfg->smtp_tls_exclude_ciphers,
						 cfg->smtp_tls_mandatory_exclude_ciphers)
				       : cfg->smtp_tls_exclude_ciphers;
	if (!p->said.servername)
		p->servername = cfg->smtp_tls_servername;
	p->match = p->level == SMTP_TLS_FINGERPRINT ? cfg->smtp_tls_fingerprint_cert_match
		   : p->level == SMTP_TLS_VERIFY    ? cfg->smtp_tls_verify_cert_match
						    : cfg->smtp_tls_secure_cert_match;
}

/* An entry of the table while it is read. */
struct entry {
	struct pool *pool;
	struct smtp_tls_policy *p;
	bool match; /* said already */
};

static bool first_time(bool *said)
{
	bool first = !*said;

	*said = true;
	return first;
}

static bool take_grade(struct entry *e, struct str value)
{
	static const char *const grades[] = {"export", "low", "medium", "high", "null"};

	for (size_t i = 0; i < sizeof(grades) / sizeof(*grades); i++)
		if (str_case_is(value, grades[i])) {
			e->p->grade = grades[i];
			return first_time(&e->p->said.grade);
		}
	return false;
}

/* All that are named count; main.cf's do not when there are some. */
static bool take_match(struct entry *e, const char *value)
{
	bool prints = e->p->level == SMTP_TLS_FINGERPRINT;

	if (!value[0] || e->p->level < SMTP_TLS_FINGERPRINT)
		return false;
	e->p->match = first_time(&e->match)
			      ? value
			      : pool_printf(e->pool, "%s%c%s", e->p->match, prints ? '|' : ':', value);
	return true;
}

static bool take_servername(struct entry *e, struct str value, const char *text)
{
	e->p->servername = text;
	e->p->said.servername = true;
	return str_is(value, "hostname") || str_is(value, "nexthop") || address_valid_hostname(value);
}

static bool attribute(struct entry *e, struct str word)
{
	ptrdiff_t equals = str_find(word, '=');
	struct str name = str_first(word, equals < 0 ? 0 : (size_t)equals);
	struct str value = equals < 0 ? STR("") : str_from(word, (size_t)equals + 1);
	const char *text = pool_strndup(e->pool, value.p, value.n);
	struct smtp_tls_policy *p = e->p;

	if (str_case_is(name, "protocols")) {
		p->protocols = text;
		return first_time(&p->said.protocols);
	}
	if (str_case_is(name, "exclude")) {
		p->exclude = text;
		return first_time(&p->said.exclude);
	}
	if (str_case_is(name, "ciphers"))
		return take_grade(e, value);
	if (str_case_is(name, "match"))
		return take_match(e, text);
	if (str_case_is(name, "servername"))
		return take_servername(e, value, text);
	if (str_case_is(name, "connection_reuse")) /* connections are kept in any case */
		return str_case_is(value, "yes") || str_case_is(value, "no");
	if (str_case_is(name, "tafile") && p->level >= SMTP_TLS_VERIFY && value.n > 0) {
		p->anchor_files = pool_printf(e->pool, "%s %s", p->anchor_files, text);
		return true;
	}
	return false;
}

/* A table's entry: the level, then attributes, which mean nothing where there is no TLS. */
static bool parse_entry(
	const struct config *cfg, struct pool *pool, struct str entry, struct smtp_tls_policy *p)
{
	struct entry e = {.pool = pool, .p = p};
	struct str word;

	if (!str_word(&entry, SEPARATORS, &word) || !find_level(word, &p->level))
		return false;
	smtp_tls_set_level(cfg, pool, p, p->level);
	while (p->level != SMTP_TLS_NONE && str_word(&entry, SEPARATORS, &word))
		if (!attribute(&e, word))
			return false;
	return true;
}

static bool is_fingerprint(struct str word)
{
	size_t digits = 0;

	for (size_t i = 0; i < word.n; i++) {
		if (word.p[i] == ':')
			continue;
		if (!isxdigit((unsigned char)word.p[i]))
			return false;
		digits++;
	}
	return digits > 0 && digits % 2 == 0;
}

/* Whether the policy can be followed at all; what cannot is not begun. */
static bool usable(const struct smtp_tls_policy *p, struct err *err)
{
	struct str rest = str_c(p->match), word;
	struct tls_anchors *anchors;

	if (p->anchor_files[0]) {
		anchors = tls_anchors_read(p->anchor_files, err);
		if (!anchors)
			return err_prefix(err, "tafile");
		tls_anchors_free(&anchors);
	}
	if (p->level != SMTP_TLS_FINGERPRINT)
		return true;
	while (str_word(&rest, SMTP_TLS_PRINTS, &word))
		if (is_fingerprint(word))
			return true;
	return err_set(err, "fingerprint security level, but with no fingerprints to match");
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
	struct err err = {""};

	*out = (struct smtp_tls_policy){.level = (enum smtp_tls_level)d->client->tls_level};
	out->nexthop = to->path ? cfg->myhostname : to->host;
	smtp_tls_set_level(cfg, d->pool, out, out->level);
	if (!maps_empty(d->client->tls_policies) && !from_table(d, without_type(text), to, out, why))
		return false;
	text = without_type(text);
	if (!smtp_tls_site(d, pool_strndup(d->pool, text.p, text.n), out, why))
		return false;
	smtp_tls_adjust(d, out);
	if (usable(out, &err))
		return true;
	log_warning("TLS policy for " STR_FMT ": %s", STR_ARG(text), err.text);
	*why = dsn_make(d->pool, DSN_DELAYED, "4.7.5", "client TLS configuration problem");
	return false;
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
