/*
 * Answers as they come off the wire (RFC 1035 section 4). Nothing in them is trusted: every read is checked
 * against the end of its record and of the message, compression may only point backwards, and names, chains
 * and records are counted.
 */
#include <netinet/in.h>

#include "dns/dns_internal.h"
#include "mail/address.h"

#define HEADER_BYTES 12
#define OCTETS_MAX 255 /* of a name on the wire */
#define CHAIN_MAX 10   /* CNAMEs followed */
#define RECORDS_SCANNED_MAX 1000

enum { FLAG_AD = 0x20, RCODE_MASK = 0x0f, RCODE_NXDOMAIN = 3, CLASS_IN = 1 };

struct message {
	const unsigned char *start;
	size_t size;
	struct pool *pool;
};

struct raw_record {
	const char *owner;
	unsigned type;
	uint32_t ttl;
	size_t data_at, data_len; /* inside the message */
};

static unsigned get16(const unsigned char *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static uint32_t get32(const unsigned char *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

/* Bytes that have a meaning in the text form are written as \DDD, so two different names never look alike. */
static void append_label(struct buf *out, const unsigned char *label, size_t n)
{
	if (out->len > 0)
		buf_putc(out, '.');
	for (size_t i = 0; i < n; i++) {
		if (label[i] > ' ' && label[i] <= '~' && label[i] != '.' && label[i] != '\\')
			buf_putc(out, (char)label[i]);
		else
			buf_printf(out, "\\%03u", label[i]);
	}
}

/* Appends the name at *at and moves *at behind it; false: malformed. The root name is "". */
static bool parse_name(const struct message *m, size_t *at, struct buf *out)
{
	size_t pos = *at, floor = *at, octets = 0;
	bool jumped = false;

	for (;;) {
		unsigned n;

		if (pos >= m->size)
			return false;
		n = m->start[pos];
		if ((n & 0xc0) == 0xc0) {
			if (pos + 2 > m->size)
				return false;
			if (!jumped)
				*at = pos + 2;
			jumped = true;
			pos = get16(m->start + pos) & 0x3fff;
			if (pos >= floor)
				return false;
			floor = pos;
			continue;
		}
		octets += n + 1;
		if (n > 63 || octets > OCTETS_MAX || pos + 1 + n > m->size)
			return false;
		pos += 1 + n;
		if (n == 0)
			break;
		append_label(out, m->start + pos - n, n);
	}
	if (!jumped)
		*at = pos;
	return !out->over;
}

static const char *take_name(const struct message *m, size_t *at)
{
	struct buf text = BUF(DNS_NAME_MAX);
	const char *name = NULL;

	if (parse_name(m, at, &text))
		name = pool_strdup(m->pool, buf_cstr(&text));
	buf_free(&text);
	return name;
}

/* A name that fills the record's data from `skip` on. */
static const char *data_name(const struct message *m, const struct raw_record *r, size_t skip)
{
	size_t at = r->data_at + skip;
	const char *name;

	if (r->data_len <= skip)
		return NULL;
	name = take_name(m, &at);
	return at == r->data_at + r->data_len ? name : NULL;
}

static bool parse_record(const struct message *m, size_t *at, struct raw_record *r, unsigned *class)
{
	const unsigned char *p;

	r->owner = take_name(m, at);
	if (!r->owner || m->size - *at < 10)
		return false;
	p = m->start + *at;
	r->type = get16(p);
	*class = get16(p + 2);
	r->ttl = get32(p + 4);
	r->data_len = get16(p + 8);
	r->data_at = *at + 10;
	if (r->data_len > m->size - r->data_at)
		return false;
	*at = r->data_at + r->data_len;
	return true;
}

/* The strings of a TXT record, joined in order; control bytes become '?'. */
static bool txt_text(const struct message *m, const struct raw_record *r, const char **text)
{
	const unsigned char *p = m->start + r->data_at, *end = p + r->data_len;
	char *out = pool_alloc(m->pool, r->data_len + 1);
	size_t n = 0;

	while (p < end) {
		size_t len = *p++;

		if (len > (size_t)(end - p))
			return false;
		for (; len > 0; len--, p++)
			out[n++] = ascii_is_control((char)*p) ? '?' : (char)*p;
	}
	*text = out;
	return true;
}

static bool set_address(const struct message *m, const struct raw_record *r, struct net_addr *out)
{
	const unsigned char *p = m->start + r->data_at;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&out->ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->ss;

	if (r->type == DNS_A && r->data_len == 4) {
		v4->sin_family = AF_INET;
		memcpy(&v4->sin_addr, p, 4);
		out->len = sizeof(*v4);
		return true;
	}
	if (r->type == DNS_AAAA && r->data_len == 16) {
		v6->sin6_family = AF_INET6;
		memcpy(&v6->sin6_addr, p, 16);
		out->len = sizeof(*v6);
		return true;
	}
	return false;
}

/* 1: a record to keep, 0: well-formed but of no use, -1: malformed. */
static int host_record(
	const struct message *m, const struct raw_record *r, size_t skip, struct dns_record *out)
{
	out->text = data_name(m, r, skip);
	if (!out->text)
		return -1;
	if (out->text[0] == '\0' && r->type == DNS_MX)
		return 1;
	if (address_valid_hostname(str_c(out->text)))
		return 1;
	/* Many a domain names its mail server by address, and that works elsewhere. */
	return net_parse_ip(str_c(out->text), 0, &(struct net_addr){0}) ? 1 : 0;
}

static int convert_record(const struct message *m, const struct raw_record *r, struct dns_record *out)
{
	*out = (struct dns_record){.type = (enum dns_type)r->type, .name = r->owner, .ttl = r->ttl};
	switch (r->type) {
	case DNS_A:
	case DNS_AAAA:
		return set_address(m, r, &out->address) ? 1 : -1;
	case DNS_MX:
		if (r->data_len < 3)
			return -1;
		out->preference = (int)get16(m->start + r->data_at);
		return host_record(m, r, 2, out);
	case DNS_NS:
	case DNS_PTR:
		return host_record(m, r, 0, out);
	case DNS_CNAME:
		out->text = data_name(m, r, 0);
		return out->text ? 1 : -1;
	case DNS_TXT:
		return txt_text(m, r, &out->text) ? 1 : -1;
	case DNS_TLSA:
		out->data.p =
			memcpy(pool_alloc(m->pool, r->data_len + 1), m->start + r->data_at, r->data_len);
		out->data.n = r->data_len;
		return 1;
	}
	return 0;
}

/* All records of the answer section; count or -1. */
static int scan_records(const struct message *m, size_t at, size_t announced, struct raw_record *out)
{
	int count = 0;

	for (size_t i = 0; i < announced && i < RECORDS_SCANNED_MAX; i++) {
		unsigned class;

		if (!parse_record(m, &at, &out[count], &class))
			return -1;
		if (class == CLASS_IN)
			count++;
	}
	return count;
}

static const char *alias_target(
	const struct message *m, const struct raw_record *r, int count, const char *name)
{
	for (int i = 0; i < count; i++)
		if (r[i].type == DNS_CNAME && ascii_casecmp(r[i].owner, name) == 0)
			return data_name(m, &r[i], 0);
	return NULL;
}

/* Where the CNAMEs lead from name; NULL: a loop. */
static const char *follow_aliases(
	const struct message *m, const struct raw_record *r, int count, const char *name)
{
	for (int hops = 0; hops <= CHAIN_MAX; hops++) {
		const char *target = alias_target(m, r, count, name);

		if (!target)
			return name;
		name = target;
	}
	return NULL;
}

static const char *without_dot(struct pool *pool, const char *name)
{
	struct str s = str_c(name);

	if (s.n > 1 && s.p[s.n - 1] == '.')
		s.n--;
	return pool_strndup(pool, s.p, s.n);
}

/* false: a malformed record. *dropped counts records that were well-formed but of no use. */
static bool keep_records(const struct message *m, const struct raw_record *r, int count, enum dns_type type,
	struct dns_answer *out, size_t *dropped)
{
	int room = count < DNS_RECORDS_MAX ? count : DNS_RECORDS_MAX;
	struct dns_record *kept = pool_alloc(m->pool, ((size_t)room + 1) * sizeof(*kept));

	out->records = kept;
	*dropped = 0;
	for (int i = 0; i < count && out->count < DNS_RECORDS_MAX; i++) {
		int use;

		if (r[i].type != (unsigned)type || ascii_casecmp(r[i].owner, out->canonical) != 0)
			continue;
		use = convert_record(m, &r[i], &kept[out->count]);
		if (use < 0)
			return false;
		if (use > 0)
			out->count++;
		else
			*dropped += 1;
	}
	return true;
}

/* RFC 7505: alone, the root name says that the domain takes no mail; beside others it is of no use. */
static void settle_null_mx(struct dns_answer *out)
{
	size_t n = 0;

	if (out->count == 1 && out->records[0].text[0] == '\0') {
		out->null_mx = true;
		return;
	}
	for (size_t i = 0; i < out->count; i++)
		if (out->records[i].text[0] != '\0')
			out->records[n++] = out->records[i];
	out->count = n;
}

static enum dns_status parse_answers(
	const struct message *m, size_t at, enum dns_type type, struct dns_answer *out)
{
	size_t announced = get16(m->start + 6), dropped;
	size_t room = announced < RECORDS_SCANNED_MAX ? announced : RECORDS_SCANNED_MAX;
	struct raw_record *raw = pool_alloc(m->pool, (room + 1) * sizeof(*raw));
	int count = scan_records(m, at, announced, raw);

	if (count < 0)
		return DNS_INVALID;
	if (type != DNS_CNAME)
		out->canonical = follow_aliases(m, raw, count, out->canonical);
	if (!out->canonical || !keep_records(m, raw, count, type, out, &dropped))
		return DNS_INVALID;
	if (type == DNS_MX)
		settle_null_mx(out);
	if ((m->start[3] & RCODE_MASK) == RCODE_NXDOMAIN)
		return DNS_NOT_FOUND;
	if (out->count > 0)
		return DNS_OK;
	out->bad_names = dropped > 0;
	return out->bad_names ? DNS_INVALID : DNS_NO_DATA;
}

static enum dns_status parse_message(const struct message *m, enum dns_type type, struct dns_answer *out)
{
	unsigned rcode, questions;
	size_t at = HEADER_BYTES;

	if (m->size < HEADER_BYTES || !(m->start[2] & 0x80))
		return DNS_INVALID;
	rcode = m->start[3] & RCODE_MASK;
	if (rcode != 0 && rcode != RCODE_NXDOMAIN)
		return DNS_RETRY;
	questions = get16(m->start + 4);
	if (questions > 1)
		return DNS_INVALID;
	if (questions == 1) {
		if (!take_name(m, &at) || m->size - at < 4)
			return DNS_INVALID;
		at += 4;
	}
	return parse_answers(m, at, type, out);
}

void dns_parse(
	struct pool *pool, struct str message, const char *name, enum dns_type type, struct dns_answer *out)
{
	struct message m = {(const unsigned char *)message.p, message.n, pool};
	struct dns_answer found = {.canonical = without_dot(pool, name)};
	enum dns_status status = parse_message(&m, type, &found);

	dns_answer_init(out, status, found.canonical ? found.canonical : name);
	out->bad_names = found.bad_names;
	if (status != DNS_INVALID && status != DNS_RETRY)
		out->secure = (m.start[3] & FLAG_AD) != 0;
	if (status == DNS_OK) {
		out->records = found.records;
		out->count = found.count;
		out->null_mx = found.null_mx;
	}
}
