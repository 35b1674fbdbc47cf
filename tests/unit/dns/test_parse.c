#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/buf.h"
#include "dns/dns.h"

/* A message under construction. */
struct message {
	struct buf b;
	unsigned answers;
};

static void put16(struct buf *b, unsigned n)
{
	buf_putc(b, (char)(n >> 8));
	buf_putc(b, (char)n);
}

static void put_name(struct buf *b, const char *name)
{
	struct str rest = str_c(name), label;

	while (str_word(&rest, ".", &label)) {
		buf_putc(b, (char)label.n);
		buf_str(b, label);
	}
	buf_putc(b, '\0');
}

/* Header with the given flags, and the question. */
static struct message begin(unsigned flags, const char *name, enum dns_type type)
{
	struct message m = {.b = BUF(200000)};

	put16(&m.b, 0x1234);
	put16(&m.b, 0x8180 | flags);
	put16(&m.b, 1);
	for (int i = 0; i < 3; i++)
		put16(&m.b, 0);
	put_name(&m.b, name);
	put16(&m.b, (unsigned)type);
	put16(&m.b, 1);
	return m;
}

static void put_record(struct message *m, const char *owner, enum dns_type type, const void *data, size_t n)
{
	put_name(&m->b, owner);
	put16(&m->b, (unsigned)type);
	put16(&m->b, 1);
	put16(&m->b, 0);
	put16(&m->b, 300);
	put16(&m->b, (unsigned)n);
	buf_add(&m->b, data, n);
	m->answers++;
	m->b.data[6] = (char)(m->answers >> 8);
	m->b.data[7] = (char)m->answers;
}

static void put_named(
	struct message *m, const char *owner, enum dns_type type, int preference, const char *target)
{
	struct buf data = BUF(1000);

	if (preference >= 0)
		put16(&data, (unsigned)preference);
	put_name(&data, target);
	put_record(m, owner, type, data.data, data.len);
	buf_free(&data);
}

struct parsed {
	struct pool *pool;
	struct dns_answer a;
};

static struct parsed parse(struct message *m, const char *name, enum dns_type type)
{
	struct parsed p = {pool_new(1000), {0}};

	dns_parse(p.pool, buf_slice(&m->b), name, type, &p.a);
	buf_free(&m->b);
	return p;
}

static void expect_status(struct message *m, const char *name, enum dns_type type, enum dns_status wanted)
{
	struct parsed p = parse(m, name, type);

	assert_int_equal(p.a.status, wanted);
	if (wanted != DNS_OK)
		assert_int_equal(p.a.count, 0);
	pool_free(&p.pool);
}

static void test_mx(void **state)
{
	struct message m = begin(0x20, "example.com", DNS_MX);
	struct parsed p;

	put_named(&m, "EXAMPLE.com", DNS_MX, 20, "b.example.com");
	put_named(&m, "example.com", DNS_MX, 10, "a.example.com");
	put_named(&m, "other.example", DNS_MX, 5, "evil.example");
	put_named(&m, "example.com", DNS_MX, 1, "bad name.example");
	put_named(&m, "example.com", DNS_MX, 2, "");
	p = parse(&m, "example.com", DNS_MX);
	assert_int_equal(p.a.status, DNS_OK);
	assert_int_equal(p.a.count, 2);
	assert_string_equal(p.a.records[0].text, "b.example.com");
	assert_int_equal(p.a.records[1].preference, 10);
	assert_int_equal(p.a.records[0].ttl, 300);
	assert_true(p.a.secure);
	assert_false(p.a.null_mx);
	pool_free(&p.pool);
}

static void test_null_mx(void **state)
{
	struct message m = begin(0, "example.com", DNS_MX);
	struct parsed p;

	put_named(&m, "example.com", DNS_MX, 0, "");
	p = parse(&m, "example.com", DNS_MX);
	assert_int_equal(p.a.status, DNS_OK);
	assert_true(p.a.null_mx);
	assert_false(p.a.secure);
	pool_free(&p.pool);
}

/* An address in place of a name is used; a name that is none leaves nothing, which is not the name server's
 * fault. */
static void test_mx_names(void **state)
{
	struct message m = begin(0, "example.com", DNS_MX);
	struct parsed p;

	put_record(&m, "example.com", DNS_MX, "\0\12\003127\0010\0010\0013\000", 13);
	p = parse(&m, "example.com", DNS_MX);
	assert_int_equal(p.a.status, DNS_OK);
	assert_string_equal(p.a.records[0].text, "127.0.0.3");
	pool_free(&p.pool);
	m = begin(0, "example.com", DNS_MX);
	put_named(&m, "example.com", DNS_MX, 10, "bad-.example");
	p = parse(&m, "example.com", DNS_MX);
	assert_int_equal(p.a.status, DNS_INVALID);
	assert_true(p.a.bad_names);
	pool_free(&p.pool);
	m = begin(0, "example.com", DNS_MX);
	put_record(&m, "example.com", DNS_MX, "\0", 1);
	p = parse(&m, "example.com", DNS_MX);
	assert_int_equal(p.a.status, DNS_INVALID);
	assert_false(p.a.bad_names);
	pool_free(&p.pool);
}

static void test_alias(void **state)
{
	struct message m = begin(0, "www.example.com", DNS_A);
	struct parsed p;

	put_record(&m, "end.example", DNS_A, "\300\000\002\001", 4);
	put_named(&m, "mid.example", DNS_CNAME, -1, "end.example");
	put_named(&m, "www.example.com", DNS_CNAME, -1, "mid.example");
	p = parse(&m, "www.example.com.", DNS_A);
	assert_int_equal(p.a.status, DNS_OK);
	assert_int_equal(p.a.count, 1);
	assert_string_equal(p.a.canonical, "end.example");
	pool_free(&p.pool);
}

static void test_alias_loop(void **state)
{
	struct message m = begin(0, "a.example", DNS_A);

	put_named(&m, "a.example", DNS_CNAME, -1, "b.example");
	put_named(&m, "b.example", DNS_CNAME, -1, "a.example");
	expect_status(&m, "a.example", DNS_A, DNS_INVALID);
}

static void test_status(void **state)
{
	struct message m = begin(3, "no.example", DNS_A);

	expect_status(&m, "no.example", DNS_A, DNS_NOT_FOUND);
	m = begin(0, "empty.example", DNS_A);
	expect_status(&m, "empty.example", DNS_A, DNS_NO_DATA);
	m = begin(2, "sick.example", DNS_A);
	expect_status(&m, "sick.example", DNS_A, DNS_RETRY);
	m = begin(5, "refused.example", DNS_A);
	expect_status(&m, "refused.example", DNS_A, DNS_RETRY);
}

static void test_cap(void **state)
{
	struct message m = begin(0, "many.example", DNS_A);
	struct parsed p;

	for (int i = 0; i < 500; i++)
		put_record(&m, "many.example", DNS_A, "\012\000\000\001", 4);
	p = parse(&m, "many.example", DNS_A);
	assert_int_equal(p.a.count, DNS_RECORDS_MAX);
	pool_free(&p.pool);
}

/* Three strings are one text; a length byte that leaves its record is malformed even inside the message. */
static void test_txt(void **state)
{
	struct message m = begin(0, "t.example", DNS_TXT);
	struct parsed p;

	put_record(&m, "t.example", DNS_TXT, "\003abc\000\002d\001", 8);
	p = parse(&m, "t.example", DNS_TXT);
	assert_string_equal(p.a.records[0].text, "abcd?");
	pool_free(&p.pool);
	m = begin(0, "t.example", DNS_TXT);
	put_record(&m, "t.example", DNS_TXT, "\004abc", 4);
	put_record(&m, "t.example", DNS_TXT, "\003abc", 4);
	expect_status(&m, "t.example", DNS_TXT, DNS_INVALID);
}

static void test_short_data(void **state)
{
	static const struct {
		enum dns_type type;
		size_t size;
		enum dns_status wanted;
	} rows[] = {
		{DNS_MX, 0, DNS_INVALID},
		{DNS_MX, 1, DNS_INVALID},
		{DNS_MX, 2, DNS_INVALID},
		{DNS_A, 3, DNS_INVALID},
		{DNS_A, 5, DNS_INVALID},
		{DNS_AAAA, 15, DNS_INVALID},
		{DNS_NS, 0, DNS_INVALID},
		{DNS_PTR, 0, DNS_INVALID},
		{DNS_TLSA, 0, DNS_OK},
		{DNS_TLSA, 3, DNS_OK},
		{DNS_TLSA, 35, DNS_OK},
	};
	static const char zeros[64];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct message m = begin(0, "x.example", rows[i].type);

		put_record(&m, "x.example", rows[i].type, zeros, rows[i].size);
		expect_status(&m, "x.example", rows[i].type, rows[i].wanted);
	}
}

/* Compression that points forward, at itself or in circles; names over 255 octets. */
static void test_names(void **state)
{
	static const struct {
		const char *data;
		size_t n;
	} targets[] = {{"\300\377", 2}, {"\377\377", 2}, {"\300", 1}, {"\100abc", 4}, {"\003ab", 3},
		{"\001a\300\060", 4}};
	char big[400];

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		struct message m = begin(0, "p.example", DNS_PTR);

		put_record(&m, "p.example", DNS_PTR, targets[i].data, targets[i].n);
		expect_status(&m, "p.example", DNS_PTR, DNS_INVALID);
	}
	memset(big, 1, sizeof(big));
	big[sizeof(big) - 1] = '\0';
	struct message m = begin(0, "p.example", DNS_PTR);
	put_record(&m, "p.example", DNS_PTR, big, sizeof(big));
	expect_status(&m, "p.example", DNS_PTR, DNS_INVALID);
}

static void test_truncated_anywhere(void **state)
{
	struct message whole = begin(0, "example.com", DNS_MX);

	put_named(&whole, "example.com", DNS_MX, 10, "a.example.com");
	for (size_t n = 0; n < whole.b.len; n++) {
		struct pool *pool = pool_new(1000);
		struct dns_answer a;
		char *exact = x_alloc(n + 1);

		memcpy(exact, whole.b.data, n);
		dns_parse(pool, (struct str){exact, n}, "example.com", DNS_MX, &a);
		assert_int_equal(a.status, DNS_INVALID);
		assert_string_equal(a.reason, "Malformed or unexpected name server reply");
		x_free(&exact);
		pool_free(&pool);
	}
	buf_free(&whole.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mx),
		cmocka_unit_test(test_null_mx),
		cmocka_unit_test(test_mx_names),
		cmocka_unit_test(test_alias),
		cmocka_unit_test(test_alias_loop),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_cap),
		cmocka_unit_test(test_txt),
		cmocka_unit_test(test_short_data),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_truncated_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
