#include "dns/dns_filter.h"

#include "dns/dns_internal.h"

#define RECORD_MAX 70000 /* bytes of a record as text */

static const char *type_text(enum dns_type type)
{
	switch (type) {
	case DNS_A:
		return "A";
	case DNS_NS:
		return "NS";
	case DNS_CNAME:
		return "CNAME";
	case DNS_PTR:
		return "PTR";
	case DNS_MX:
		return "MX";
	case DNS_TXT:
		return "TXT";
	case DNS_AAAA:
		return "AAAA";
	case DNS_TLSA:
		return "TLSA";
	}
	return "";
}

static void add_tlsa(struct buf *out, struct str data)
{
	for (size_t i = 0; i < data.n; i++)
		buf_printf(
			out, i < 3 ? "%s%u" : "%s%02X", i == 0 || i > 3 ? "" : " ", (unsigned char)data.p[i]);
}

/* "name ttl class type preference value" */
static void format_record(const struct dns_record *r, struct buf *out)
{
	char text[NET_HOST_MAX];

	buf_printf(out, "%s. %u IN %s ", r->name, (unsigned)r->ttl, type_text(r->type));
	switch (r->type) {
	case DNS_A:
	case DNS_AAAA:
		buf_puts(out, net_host(&r->address, text));
		break;
	case DNS_MX:
		buf_printf(out, "%d %s.", r->preference, r->text);
		break;
	case DNS_NS:
	case DNS_CNAME:
	case DNS_PTR:
		buf_printf(out, "%s.", r->text);
		break;
	case DNS_TXT:
		buf_puts(out, r->text);
		break;
	case DNS_TLSA:
		add_tlsa(out, r->data);
		break;
	}
}

static void say(const struct dns_filter *f, bool warning, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void say(const struct dns_filter *f, bool warning, const char *fmt, ...)
{
	struct buf text = BUF(2 * RECORD_MAX);
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	f->say(warning, buf_cstr(&text));
	buf_free(&text);
}

/* 1: the record goes, 0: it stays, -1: the tables do not say. */
static int judge(const struct dns_filter *f, const struct dns_record *r)
{
	struct buf record = BUF(RECORD_MAX), action = BUF(TABLE_VALUE_MAX);
	struct err err = {""};
	enum table_status status;
	int verdict = 0;

	format_record(r, &record);
	status = maps_lookup(f->maps, buf_slice(&record), &action, &err);
	if (status == TABLE_FOUND) {
		verdict = str_case_is(buf_slice(&action), "IGNORE") ? 1 : -1;
		if (verdict > 0)
			say(f, false, "ignoring DNS RR: %s", buf_cstr(&record));
		else
			say(f, true, "%s: unknown DNS filter action: \"%s\"", f->parameter,
				buf_cstr(&action));
	} else if (status != TABLE_NOT_FOUND) {
		say(f, true, "%s: %s", f->parameter, err.text);
		verdict = -1;
	}
	buf_free(&record);
	buf_free(&action);
	return verdict;
}

static void nothing_left(struct dns_answer *answer, enum dns_filtered why, const char *reason)
{
	answer->status = DNS_RETRY;
	answer->count = 0;
	answer->null_mx = false;
	answer->filtered = why;
	answer->reason = reason;
}

void dns_filter(const struct dns_filter *f, struct pool *pool, const char *name, struct dns_answer *answer)
{
	struct dns_record *kept;
	size_t n = 0;

	if (!f->maps || maps_empty(f->maps) || answer->status != DNS_OK ||
		net_parse_ip(str_c(name), 0, &(struct net_addr){0}))
		return;
	kept = pool_alloc(pool, answer->count * sizeof(*kept) + 1);
	for (size_t i = 0; i < answer->count; i++) {
		int verdict = judge(f, &answer->records[i]);

		if (verdict < 0) {
			nothing_left(answer, DNS_FILTER_FAILED, "Invalid DNS reply filter syntax");
			return;
		}
		if (verdict == 0)
			kept[n++] = answer->records[i];
	}
	answer->records = kept;
	answer->count = n;
	if (n == 0)
		nothing_left(answer, DNS_FILTER_DROPPED, "DNS reply filter drops all results");
}
