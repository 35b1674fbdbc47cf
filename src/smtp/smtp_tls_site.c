/* The old table of policies, smtp_tls_per_site: by next hop and by host, the stronger word of both. */
#include "base/log.h"
#include "smtp/smtp_tls.h"

static const struct {
	const char *word;
	enum smtp_tls_site site;
} words[] = {
	{"MAY", SMTP_SITE_MAY},
	{"NONE", SMTP_SITE_NONE},
	{"MUST_NOPEERMATCH", SMTP_SITE_ENCRYPT},
	{"MUST", SMTP_SITE_VERIFY},
};

static bool parse(struct str value, enum smtp_tls_site *out)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (str_case_is(str_trim(value), words[i].word)) {
			*out = words[i].site;
			return true;
		}
	}
	return false;
}

static bool look_up(struct smtp_delivery *d, const char *key, enum smtp_tls_site *out, struct dsn **why)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct err err = {""};
	enum table_status status = maps_lookup(d->client->tls_sites, str_c(key), &value, &err);
	bool ok = status == TABLE_FOUND || status == TABLE_NOT_FOUND;

	*out = SMTP_SITE_UNKNOWN;
	if (!ok)
		log_warning("smtp_tls_per_site: %s: %s", key, err.text);
	else if (status == TABLE_FOUND && !(ok = parse(buf_slice(&value), out)))
		log_warning("smtp_tls_per_site: %s: bad entry \"%s\"", key, buf_cstr(&value));
	buf_free(&value);
	if (!ok)
		*why = dsn_make(d->pool, DSN_DELAYED, "4.7.5", "client TLS configuration problem");
	return ok;
}

/* MAY gives way to what main.cf demands, any other word overrides it. */
static enum smtp_tls_level level_of(enum smtp_tls_site site, enum smtp_tls_level by_default)
{
	switch (site) {
	case SMTP_SITE_MAY:
		return by_default > SMTP_TLS_MAY ? by_default : SMTP_TLS_MAY;
	case SMTP_SITE_NONE:
		return SMTP_TLS_NONE;
	case SMTP_SITE_ENCRYPT:
		return SMTP_TLS_ENCRYPT;
	case SMTP_SITE_VERIFY:
		return SMTP_TLS_VERIFY;
	case SMTP_SITE_UNKNOWN:
		break;
	}
	return by_default;
}

bool smtp_tls_site(struct smtp_delivery *d, const char *name, struct smtp_tls_policy *p, struct dsn **why)
{
	enum smtp_tls_level level;
	enum smtp_tls_site site;

	if (!d->client->tls_sites)
		return true;
	if (!look_up(d, name, &site, why))
		return false;
	if (site > p->site)
		p->site = site;
	level = level_of(p->site, (enum smtp_tls_level)d->client->tls_level);
	if (level != p->level)
		smtp_tls_set_level(d->client->cfg, d->pool, p, level);
	smtp_tls_adjust(d, p);
	return true;
}
