#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "smtp/smtp_destination.h"
#include "smtp/smtp_features.h"

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		bool lmtp, ok;
		const char *host, *path;
		uint16_t port;
		bool mx;
	} rows[] = {
		{"example.com", false, true, "example.com", NULL, 25, true},
		{"example.com:2525", false, true, "example.com", NULL, 2525, true},
		{"example.com:submission", false, true, "example.com", NULL, 587, true},
		{"[mail.example.com]", false, true, "mail.example.com", NULL, 25, false},
		{"[mail.example.com]:smtp", false, true, "mail.example.com", NULL, 25, false},
		{"[192.0.2.1]:26", false, true, "192.0.2.1", NULL, 26, false},
		{"[ipv6:2001:db8::1]:26", false, true, "2001:db8::1", NULL, 26, false},
		{"[2001:db8::1]", false, true, "2001:db8::1", NULL, 25, false},
		{"b\303\274cher.example", false, true, "xn--bcher-kva.example", NULL, 25, true},
		{"example.com", true, true, "example.com", NULL, 25, false},
		{"inet:example.com:24", true, true, "example.com", NULL, 24, false},
		{"inet:[127.0.0.1]:24", true, true, "127.0.0.1", NULL, 24, false},
		{"unix:private/lmtp", true, true, NULL, "private/lmtp", 0, false},
		{"unix:", true, false, NULL, NULL, 0, false},
		{"", false, false, NULL, NULL, 0, false},
		{"[]", false, false, NULL, NULL, 0, false},
		{"[a", false, false, NULL, NULL, 0, false},
		{"[a]b", false, false, NULL, NULL, 0, false},
		{"[a]:", false, false, NULL, NULL, 0, false},
		{"a:", false, false, NULL, NULL, 0, false},
		{":25", false, false, NULL, NULL, 0, false},
		{"a:0", false, false, NULL, NULL, 0, false},
		{"a:65536", false, false, NULL, NULL, 0, false},
		{"a:no-such-service", false, false, NULL, NULL, 0, false},
	};
	struct pool *pool = pool_new(1000);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct smtp_destination to;
		struct err err = {""};
		bool ok =
			smtp_destination_parse(pool, str_c(rows[i].text), rows[i].lmtp, false, 25, &to, &err);

		assert_int_equal(ok, rows[i].ok);
		assert_int_equal(err.text[0] == '\0', ok);
		if (!ok)
			continue;
		if (rows[i].path)
			assert_string_equal(to.path, rows[i].path);
		else
			assert_string_equal(to.host, rows[i].host);
		assert_int_equal(to.port, rows[i].port);
		assert_int_equal(to.lookup_mx, rows[i].mx);
	}
	pool_free(&pool);
}

static void test_features(void **state)
{
	assert_int_equal(smtp_features_mask(STR("pipelining, DSN silent-discard nonsense")),
		FEATURE_PIPELINING | FEATURE_DSN | FEATURE_DISCARD_SILENTLY);
	assert_int_equal(smtp_features_mask(STR("")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_features),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
