#include "smtpd/access_dns.h"

#include "base/log.h"
#include "smtpd/session.h"

static enum dns_status combine(enum dns_status mx, enum dns_status address)
{
	if (mx == DNS_OK || address == DNS_OK)
		return DNS_OK;
	return mx == DNS_RETRY || address == DNS_RETRY ? DNS_RETRY : DNS_NOT_FOUND;
}

/* Names whose records are all to be ignored count as known: the filter is about the records. */
static enum dns_status known_status(const struct dns_answer *answer)
{
	return answer->filtered == DNS_FILTER_DROPPED ? DNS_OK : answer->status;
}

static void warn_filtered(const char *name, const struct dns_answer *answer)
{
	if (answer->filtered)
		log_warning("%s: address or MX lookup error: %s", name, answer->reason);
}

void access_dns_lookup(
	struct access *a, struct dns *dns, const char *name, enum dns_type type, struct dns_answer *out)
{
	dns_lookup(dns, a->pool, name, type, out);
	dns_filter(&a->session->server->dns_filter, a->pool, name, out);
	if (type == DNS_MX)
		warn_filtered(name, out);
}

static enum dns_status dns_known(struct access *a, const char *name, bool *null_mx)
{
	struct dns *dns = smtpd_slot_dns(a->session->slot);
	struct dns_answer mx = {.status = DNS_RETRY}, address = {.status = DNS_RETRY};

	*null_mx = false;
	if (!dns)
		return DNS_RETRY;
	access_dns_lookup(a, dns, name, DNS_MX, &mx);
	if (mx.status == DNS_OK) {
		*null_mx = mx.null_mx;
		if (!mx.null_mx)
			return DNS_OK;
	}
	dns_addresses(dns, a->pool, name, true, true, &address);
	dns_filter(&a->session->server->dns_filter, a->pool, name, &address);
	warn_filtered(name, &address);
	return combine(mx.null_mx ? DNS_NOT_FOUND : known_status(&mx), known_status(&address));
}

enum dns_status access_dns_host(struct access *a, const char *name)
{
	bool null_mx;

	return dns_known(a, name, &null_mx);
}

enum dns_status access_dns_mail(struct access *a, const char *domain, bool *null_mx)
{
	return dns_known(a, domain, null_mx);
}
