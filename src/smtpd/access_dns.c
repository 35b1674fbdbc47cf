#include "smtpd/access_dns.h"

#include "smtpd/session.h"

static enum dns_status combine(enum dns_status mx, enum dns_status address)
{
	if (mx == DNS_OK || address == DNS_OK)
		return DNS_OK;
	return mx == DNS_RETRY || address == DNS_RETRY ? DNS_RETRY : DNS_NOT_FOUND;
}

static enum dns_status dns_known(struct access *a, const char *name, bool *null_mx)
{
	struct dns *dns = smtpd_slot_dns(a->session->slot);
	struct dns_answer mx = {.status = DNS_RETRY}, address = {.status = DNS_RETRY};

	*null_mx = false;
	if (!dns)
		return DNS_RETRY;
	dns_lookup(dns, a->pool, name, DNS_MX, &mx);
	if (mx.status == DNS_OK) {
		*null_mx = mx.null_mx;
		if (!mx.null_mx)
			return DNS_OK;
	}
	dns_addresses(dns, a->pool, name, true, true, &address);
	return combine(mx.null_mx ? DNS_NOT_FOUND : mx.status, address.status);
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
