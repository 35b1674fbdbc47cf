#include "smtpd/server_tls.h"

#include "base/log.h"
#include "smtpd/server.h"
#include "tls/tls_cache.h"

static enum tls_level configured_level(const struct config *cfg)
{
	const char *level = cfg->smtpd_tls_security_level;

	if (strcmp(level, "encrypt") == 0)
		return TLS_REQUIRED;
	if (strcmp(level, "may") == 0)
		return TLS_OFFERED;
	if (strcmp(level, "none") == 0)
		return TLS_OFF;
	if (*level) {
		log_warning(
			"smtpd_tls_security_level: unsupported TLS level \"%s\", using \"encrypt\"", level);
		return TLS_REQUIRED;
	}
	if (cfg->smtpd_enforce_tls)
		return TLS_REQUIRED;
	return cfg->smtpd_use_tls ? TLS_OFFERED : TLS_OFF;
}

/* No certificate comes with an anonymous key exchange. */
static const char *exclusions(struct server *v, bool mandatory, bool ask)
{
	return pool_printf(v->pool, "%s %s%s", v->cfg->smtpd_tls_exclude_ciphers,
		mandatory ? v->cfg->smtpd_tls_mandatory_exclude_ciphers : "", ask ? " aNULL" : "");
}

static bool has_certificate(const struct config *cfg)
{
	return *cfg->smtpd_tls_chain_files || *cfg->smtpd_tls_cert_file || *cfg->smtpd_tls_eccert_file ||
	       *cfg->smtpd_tls_dcert_file;
}

static size_t ticket_keys(void *arg, struct tls_ticket_key out[TLS_TICKET_KEYS])
{
	const struct server *v = arg;
	unsigned char keys[SERVICE_TICKET_KEYS][32];
	size_t n = v->service ? service_ticket_keys(v->service, keys) : 0;

	for (size_t i = 0; i < n && i < TLS_TICKET_KEYS; i++)
		memcpy(out[i].secret, keys[i], sizeof(out[i].secret));
	explicit_bzero(keys, sizeof(keys));
	return n;
}

/* A cache that cannot be used costs full handshakes and no more. */
static void open_session_cache(struct server *v, int seconds)
{
	const char *map = v->cfg->smtpd_tls_session_cache_database;
	struct err err = {""};

	if (!*map || seconds == 0)
		return;
	v->tls_cache =
		tls_cache_open(v->cfg, "smtpd_tls_session_cache_database", map, seconds, log_warn, &err);
	if (!v->tls_cache)
		log_warning("%s", err.text);
}

static struct tls_context *make_context(struct server *v, struct tls_server_options *o, struct err *err)
{
	const struct config *cfg = v->cfg;

	if (!tls_library_start(cfg, err))
		return NULL;
	if (*cfg->tls_server_sni_maps) {
		v->tls_names = maps_open(
			"tls_server_sni_maps", cfg->tls_server_sni_maps, TABLE_FOLD | TABLE_FILES, err);
		if (!v->tls_names)
			return NULL;
		maps_warnings(v->tls_names, log_warn, NULL);
	}
	o->service = config_text(cfg, "service_name");
	o->session_seconds = tls_cache_seconds(cfg->smtpd_tls_session_cache_timeout);
	open_session_cache(v, o->session_seconds);
	o->cache = v->tls_cache;
	o->always_session_ids = cfg->smtpd_tls_always_issue_session_ids;
	o->tickets = (struct tls_ticket_source){ticket_keys, v};
	o->ticket_cipher = cfg->tls_session_ticket_cipher;
	return tls_server_context(o, err);
}

void server_tls_open(struct server *v)
{
	const struct config *cfg = v->cfg;
	enum tls_level level = cfg->smtpd_tls_wrappermode ? TLS_REQUIRED : configured_level(cfg);
	bool mandatory = level == TLS_REQUIRED;
	bool ask = cfg->smtpd_tls_ask_ccert || (mandatory && cfg->smtpd_tls_req_ccert);
	struct tls_server_options o = {.chain_files = cfg->smtpd_tls_chain_files,
		.cert_file = cfg->smtpd_tls_cert_file,
		.key_file = cfg->smtpd_tls_key_file,
		.eccert_file = cfg->smtpd_tls_eccert_file,
		.eckey_file = cfg->smtpd_tls_eckey_file,
		.dcert_file = cfg->smtpd_tls_dcert_file,
		.dkey_file = cfg->smtpd_tls_dkey_file,
		.dh_file = cfg->smtpd_tls_dh1024_param_file,
		.prefer_own_ciphers = cfg->tls_preempt_cipherlist,
		.common = tls_common_settings(cfg, log_warn),
		.ca_file = cfg->smtpd_tls_CAfile,
		.ca_path = cfg->smtpd_tls_CApath,
		.protocols = mandatory ? cfg->smtpd_tls_mandatory_protocols : cfg->smtpd_tls_protocols,
		.cipher_list = tls_cipher_list(
			cfg, mandatory ? cfg->smtpd_tls_mandatory_ciphers : cfg->smtpd_tls_ciphers),
		.exclude_ciphers = exclusions(v, mandatory, ask),
		.ask_certificate = ask,
		.demand_certificate = mandatory && cfg->smtpd_tls_req_ccert,
		.verify_depth = cfg->smtpd_tls_ccert_verifydepth,
		.fingerprint_digest = cfg->smtpd_tls_fingerprint_digest};
	struct err err = {""};

	v->tls_level = level;
	v->tls_demands_certificate = mandatory && cfg->smtpd_tls_req_ccert;
	if (level == TLS_OFF)
		return;
	if (cfg->smtpd_tls_req_ccert && !mandatory)
		log_warning("smtpd_tls_req_ccert has no effect where TLS is not required");
	if (has_certificate(cfg))
		v->tls = make_context(v, &o, &err);
	else
		err_set(&err, "no server certificates in use");
	if (!v->tls)
		log_warning("TLS is not available: %s", err.text);
}
