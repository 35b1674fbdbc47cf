/* Answers of name servers: the first byte chooses the question, the rest is the message. */
#include "dns/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const enum dns_type types[] = {DNS_A, DNS_NS, DNS_CNAME, DNS_PTR, DNS_MX, DNS_TXT, DNS_AAAA, DNS_TLSA};

static void check_record(const struct dns_record *r, enum dns_type type)
{
	char text[NET_HOST_MAX];

	if (r->type != type || !r->name)
		__builtin_trap();
	if ((type == DNS_A || type == DNS_AAAA) && strcmp(net_host(&r->address, text), "unknown") == 0)
		__builtin_trap();
	if ((type == DNS_MX || type == DNS_NS || type == DNS_PTR || type == DNS_CNAME || type == DNS_TXT) &&
		(!r->text || strlen(r->text) > 70000))
		__builtin_trap();
	if (type == DNS_TLSA && memchr(r->data.p, 0, r->data.n) == r->data.p + r->data.n)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_answer a;
	enum dns_type type;
	struct pool *pool;

	if (size == 0)
		return 0;
	type = types[data[0] % (sizeof(types) / sizeof(types[0]))];
	pool = pool_new(4096);
	dns_parse(pool, (struct str){(const char *)data + 1, size - 1}, "example.com", type, &a);
	if (a.count > DNS_RECORDS_MAX || (a.status != DNS_OK && a.count > 0) || !a.reason || !a.canonical)
		__builtin_trap();
	for (size_t i = 0; i < a.count; i++)
		check_record(&a.records[i], type);
	pool_free(&pool);
	return 0;
}
