#include "smtpd/dnsbl.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_reverse(void **state)
{
	char out[DNSBL_REVERSED_MAX];
	struct net_addr a;

	assert_true(net_parse_ip(STR("192.0.2.1"), 0, &a));
	assert_true(dnsbl_reverse(&a, out));
	assert_string_equal(out, "1.2.0.192");
	assert_true(net_parse_ip(STR("2001:db8::1"), 0, &a));
	assert_true(dnsbl_reverse(&a, out));
	assert_string_equal(out, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2");
}

static void test_answers(void **state)
{
	static const struct {
		const char *answer, *filter;
		bool counts;
	} rows[] = {
		{"127.0.0.2", NULL, true},
		{"192.0.2.1", NULL, false},
		{"127.0.0.2", "127.0.0.2", true},
		{"127.0.0.3", "127.0.0.2", false},
		{"127.0.0.5", "127.0.0.[2;4..8]", true},
		{"127.0.0.3", "127.0.0.[2;4..8]", false},
		{"127.1.0.8", "127.[0..255].0.8", true},
		{"127.0.0.2", "127.0.0", false},
		{"127.0.0.2", "127.0.0.2.1", false},
		{"127.0.0.2", "127.0.0.[]", false},
		{"127.0.0.2", "127.0.0.[2", false},
		{"127.0.0.2", "", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(dnsbl_answer_counts(rows[i].answer, rows[i].filter), rows[i].counts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_reverse), cmocka_unit_test(test_answers)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
