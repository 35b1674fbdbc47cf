#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "master/address.h"

#define PORTS "lmtp=24, smtp=25, smtps=submissions=465, submission=587"

static const char *resolved(
	const char *interfaces, const char *protocols, const char *service, struct buf *out)
{
	struct address_settings settings = {interfaces, protocols, PORTS};
	struct address_list list;
	struct err err = {""};
	char text[NET_TEXT_MAX];

	buf_clear(out);
	if (!address_resolve(&settings, service, &list, &err)) {
		assert_string_not_equal(err.text, "");
		return "error";
	}
	for (size_t i = 0; i < list.count; i++)
		buf_printf(out, "%s%s", i ? " " : "", net_text(&list.list[i], text));
	address_list_free(&list);
	return buf_cstr(out);
}

static void services_become_addresses(void **state)
{
	static const struct {
		const char *interfaces, *protocols, *service, *expected;
	} cases[] = {
		{"all", "all", "smtp", "[0.0.0.0]:25 [::]:25"},
		{"all", "ipv4", "smtp", "[0.0.0.0]:25"},
		{"all", "ipv6", "submissions", "[::]:465"},
		{"all", "ipv4, ipv6", "587", "[0.0.0.0]:587 [::]:587"},
		{"loopback-only", "all", ":smtps", "[127.0.0.1]:465 [::1]:465"},
		{"127.0.0.1, [::1] 127.0.0.1", "all", "10025", "[127.0.0.1]:10025 [::1]:10025"},
		{"127.0.0.1, [::1]", "ipv4", "10025", "[127.0.0.1]:10025"},
		{"all", "all", "192.0.2.1:25", "[192.0.2.1]:25"},
		{"all", "all", "[192.0.2.1]:smtp", "[192.0.2.1]:25"},
		{"all", "all", "[2001:db8::1]:25", "[2001:db8::1]:25"},
		{"all", "all", "[ipv6:2001:db8::1]:25", "[2001:db8::1]:25"},
		{"all", "all", "lmtp", "[0.0.0.0]:24 [::]:24"},
		{"all", "all", "no-such-service", "error"},
		{"all", "all", "0", "error"},
		{"all", "all", "65536", "error"},
		{"all", "all", "192.0.2.1:", "error"},
		{"all", "all", "", "error"},
		{"", "all", "25", ""},
	};
	struct buf out = BUF(4096);

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_string_equal(resolved(cases[i].interfaces, cases[i].protocols, cases[i].service, &out),
			cases[i].expected);
	buf_free(&out);
}

static void known_ports(void **state)
{
	assert_int_equal(address_known_port(PORTS, STR("smtp")), 25);
	assert_int_equal(address_known_port(PORTS, STR("smtps")), 465);
	assert_int_equal(address_known_port(PORTS, STR("submissions")), 465);
	assert_int_equal(address_known_port(PORTS, STR("465")), 0);
	assert_int_equal(address_known_port(PORTS, STR("")), 0);
	assert_int_equal(address_known_port("x=y, =, a=99999999", STR("a")), 0);
}

static void ipv6_is_optional_when_all_is_asked_for(void **state)
{
	struct address_settings all = {"all", "all", PORTS}, six = {"all", "ipv6", PORTS};
	struct net_addr v4, v6;

	assert_true(net_parse_ip(STR("::1"), 25, &v6));
	assert_true(net_parse_ip(STR("127.0.0.1"), 25, &v4));
	assert_true(address_family_optional(&all, &v6));
	assert_false(address_family_optional(&all, &v4));
	assert_false(address_family_optional(&six, &v6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(services_become_addresses),
		cmocka_unit_test(known_ports),
		cmocka_unit_test(ipv6_is_optional_when_all_is_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
