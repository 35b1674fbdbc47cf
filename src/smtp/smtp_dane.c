/* DANE for SMTP (RFC 7672): TLSA records, and what they make of a host's policy. */
#include "base/log.h"
#include "smtp/smtp_hosts.h"
#include "smtp/smtp_tls.h"

#define TLSA_FIXED_BYTES 3

/* What was found under one name. */
enum found { FOUND_NONE, FOUND_UNUSABLE, FOUND_USABLE, FOUND_ERROR };

/* Records that were not validated do not exist. */
static enum found look_up(struct smtp_delivery *d, const char *base, uint16_t port, struct smtp_tls_policy *p)
{
	const char *name = pool_printf(d->pool, "_%u._tcp.%s", port, base);
	struct dns_answer answer;
	struct tls_tlsa *records;
	bool usable = false;

	dns_lookup(d->dns, d->pool, name, DNS_TLSA, &answer);
	dns_filter(&d->client->dns_filter, d->pool, name, &answer);
	if (answer.status == DNS_RETRY || answer.status == DNS_INVALID)
		return FOUND_ERROR;
	if (answer.status != DNS_OK || !answer.secure)
		return FOUND_NONE;
	records = pool_alloc(d->pool, answer.count * sizeof(*records));
	for (size_t i = 0; i < answer.count; i++) {
		const unsigned char *raw = (const unsigned char *)answer.records[i].data.p;

		if (answer.records[i].data.n <= TLSA_FIXED_BYTES)
			log_warning("%s: truncated TLSA record: %zu bytes", name, answer.records[i].data.n);
		if (answer.records[i].data.n >= TLSA_FIXED_BYTES)
			records[i] = (struct tls_tlsa){
				raw[0], raw[1], raw[2], str_from(answer.records[i].data, TLSA_FIXED_BYTES)};
		if (answer.records[i].data.n >= TLSA_FIXED_BYTES &&
			!tls_digest_listed(d->client->tls, raw[2]))
			log_warning("%s: TLSA record with a digest that tls_dane_digests does not list: %u",
				name, raw[2]);
		usable = usable || tls_tlsa_usable(d->client->tls, &records[i]);
	}
	p->tlsa = records;
	p->tlsa_count = answer.count;
	p->tlsa_base = base;
	return usable ? FOUND_USABLE : FOUND_UNUSABLE;
}

/* The name after CNAMEs comes first, then the name as it was listed (RFC 7672 section 2.2.2). */
static enum found find(struct smtp_delivery *d, const struct smtp_host *host, struct smtp_tls_policy *p)
{
	uint16_t port = net_port(&host->address);
	enum found found = look_up(d, host->base, port, p);

	if (found == FOUND_NONE && ascii_casecmp(host->base, host->name) != 0)
		found = look_up(d, host->name, port, p);
	return found;
}

static bool fail(struct smtp_delivery *d, const struct smtp_host *host, const char *text, struct dsn **why)
{
	*why = dsn_make(d->pool, DSN_DELAYED, "4.7.5", "%s for %s:%u", text,
		host ? host->name : "local socket", host ? net_port(&host->address) : 0u);
	return false;
}

static bool settle(struct smtp_delivery *d, const struct smtp_host *host, enum found found,
	struct smtp_tls_policy *p, struct dsn **why)
{
	bool only = p->level == SMTP_TLS_DANE_ONLY;
	const char *base = p->tlsa_base;

	if (found == FOUND_ERROR)
		return fail(d, host, "TLSA lookup error", why);
	if (found == FOUND_USABLE)
		return true;
	p->tlsa_base = NULL;
	p->tlsa_count = 0;
	if (only)
		return fail(d, host, found == FOUND_NONE ? "no TLSA records found" : "no usable TLSA records",
			why);
	smtp_tls_set_level(
		d->client->cfg, d->pool, p, found == FOUND_UNUSABLE ? SMTP_TLS_ENCRYPT : SMTP_TLS_MAY);
	if (base && !p->said.servername)
		p->servername = base;
	return true;
}

bool smtp_dane(struct smtp_delivery *d, const struct smtp_host *host, bool mx_secure,
	struct smtp_tls_policy *p, struct dsn **why)
{
	const struct config *cfg = d->client->cfg;
	const char *insecure = cfg->smtp_tls_dane_insecure_mx_policy;
	enum found found = FOUND_NONE;

	if (p->level != SMTP_TLS_DANE && p->level != SMTP_TLS_DANE_ONLY)
		return true;
	if (p->level == SMTP_TLS_DANE_ONLY && !mx_secure) {
		*why = dsn_make(d->pool, DSN_DELAYED, "4.7.5", "non DNSSEC destination");
		return false;
	}
	p->forgeable = !mx_secure;
	if (host && host->secure && (mx_secure || strcmp(insecure, "may") != 0))
		found = find(d, host, p);
	if (found == FOUND_USABLE && !mx_secure && strcmp(insecure, "encrypt") == 0)
		found = FOUND_UNUSABLE;
	return settle(d, host, found, p, why);
}
