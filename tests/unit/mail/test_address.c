#include "mail/address.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct path_case {
	const char *in;
	int flags;
	const char *internal; /* NULL: refused */
	const char *rest;
} path_cases[] = {
	{"<user@example.com>", 0, "user@example.com", ""},
	{"<user@example.com> SIZE=1", 0, "user@example.com", " SIZE=1"},
	{"  user@example.com SIZE=1", 0, "user@example.com", " SIZE=1"},
	{"user@example.com", PATH_STRICT, NULL, NULL},
	{"<>", PATH_NULL_OK, "", ""},
	{"<>", 0, NULL, NULL},
	{"", PATH_NULL_OK, NULL, NULL},
	{"<user>", 0, "user", ""},
	{"<\"a b\"@example.com>", 0, "a b@example.com", ""},
	{"<\"a>b\"@example.com>", 0, "a>b@example.com", ""},
	{"<\"a\\\"b\"@example.com>", 0, "a\"b@example.com", ""},
	{"<\"\"@example.com>", 0, "@example.com", ""},
	{"<\"\"@example.com>", PATH_STRICT, NULL, NULL},
	{"<\"\"\"@example.com>", 0, NULL, NULL},
	{"<a\"b\"@example.com>", 0, NULL, NULL},
	{"<\"a\"\"b\"@example.com>", 0, NULL, NULL},
	{"<\"a\".b.\"c\"@example.com>", 0, "a.b.c@example.com", ""},
	{"<a b@example.com>", 0, NULL, NULL},
	{"<.a..b.@example.com>", PATH_STRICT, ".a..b.@example.com", ""},
	{"<a\\@b@example.com>", 0, "a@b@example.com", ""},
	{"a\\ b@example.com", 0, "a b@example.com", ""},
	{"<@hop1,@hop2:user@example.com>", 0, "user@example.com", ""},
	{"<@hop1:>", 0, NULL, NULL},
	{"<(comment)user@example.com>", 0, "user@example.com", ""},
	{"<(comment)user@example.com>", PATH_STRICT, NULL, NULL},
	{"<user@example.com(nested (c) d)>", 0, "user@example.com", ""},
	{"<\"A Name\" <user@example.com>>", 0, "user@example.com", ""},
	{"<\"A Name\" <user@example.com>>", PATH_STRICT, NULL, NULL},
	{"<user @ example.com>", 0, "user@example.com", ""},
	{"<user@[192.0.2.1]>", 0, "user@[192.0.2.1]", ""},
	{"<user@192.0.2.1>", 0, NULL, NULL},
	{"<user@192.0.2.1>", PATH_NUMERIC, "user@192.0.2.1", ""},
	{"<user@>", 0, NULL, NULL},
	{"<user@>", PATH_NULL_DOMAIN, "user@", ""},
	{"<user@[\\192.0.2.1]>", 0, "user@[192.0.2.1]", ""},
	{"<user@[192.0.2.1>", 0, "user@[192.0.2.1]", ""},
	{"<user@[IPv6:2001:db8::1]>", 0, "user@[IPv6:2001:db8::1]", ""},
	{"<user@[2001:db8::1]>", 0, NULL, NULL},
	{"<user@[192.0.2.333]>", 0, NULL, NULL},
	{"<user@a[192.0.2.1]>", 0, NULL, NULL},
	{"<user@>", 0, NULL, NULL},
	{"<user@-a.example>", 0, NULL, NULL},
	{"<user@a..example>", 0, NULL, NULL},
	{"<user@example.com", 0, NULL, NULL},
	{"<user@ex,ample.com>", 0, NULL, NULL},
	{"<us\303\251r@example.com>", 0, "us\303\251r@example.com", ""},
	{"<us\303\251r@example.com>", PATH_STRICT, "us\303\251r@example.com", ""},
	{"<us\303\251r@b\303\274cher.example>", PATH_UTF8, "us\303\251r@b\303\274cher.example", ""},
	{"<us\303r@example.com>", PATH_UTF8, NULL, NULL},
	{"<user@b\303\274cher.example>", 0, NULL, NULL},
};

static void test_paths(void **state)
{
	for (size_t i = 0; i < sizeof(path_cases) / sizeof(path_cases[0]); i++) {
		const struct path_case *c = &path_cases[i];
		struct buf out = BUF(2000);
		struct str rest = str_c(c->in);
		struct err err = {""};
		bool ok = address_parse_path(&rest, c->flags, &out, &err);

		if (ok != (c->internal != NULL))
			fail_msg("%s: %s (%s)", c->in, ok ? buf_cstr(&out) : "refused", err.text);
		if (ok) {
			assert_string_equal(buf_cstr(&out), c->internal);
			assert_true(str_is(rest, c->rest));
		} else {
			assert_true(err.text[0] != '\0');
		}
		buf_free(&out);
	}
}

static void test_long_address_is_refused(void **state)
{
	struct buf in = BUF(5000), out = BUF(5000);
	struct err err;

	for (int i = 0; i < 1100; i++)
		buf_putc(&in, 'a');
	buf_puts(&in, "@example.com");
	struct str rest = buf_slice(&in);
	assert_false(address_parse_path(&rest, 0, &out, &err));
	buf_free(&in);
	buf_free(&out);
}

static void test_quote_and_back(void **state)
{
	static const char *const pairs[][2] = {
		{"user@example.com", "user@example.com"},
		{"a b@example.com", "\"a b\"@example.com"},
		{"a@b@example.com", "\"a@b\"@example.com"},
		{"a\"b\\c@example.com", "\"a\\\"b\\\\c\"@example.com"},
		{".a@example.com", "\".a\"@example.com"},
		{"a..b@example.com", "\"a..b\"@example.com"},
		{"user", "user"},
		{"", ""},
		{"us\303\251r@example.com", "us\303\251r@example.com"},
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct buf out = BUF(200), back = BUF(200);

		address_quote(str_c(pairs[i][0]), &out);
		assert_string_equal(buf_cstr(&out), pairs[i][1]);
		address_unquote(buf_slice(&out), &back);
		assert_string_equal(buf_cstr(&back), pairs[i][0]);
		buf_free(&out);
		buf_free(&back);
	}
}

static void test_parts(void **state)
{
	assert_true(str_is(address_local(str_c("a@b@c")), "a@b"));
	assert_true(str_is(address_domain(str_c("a@b@c")), "c"));
	assert_true(str_is(address_domain(str_c("a")), ""));
	assert_int_equal(address_extension(str_c("user+ext"), "+-"), 4);
	assert_int_equal(address_extension(str_c("user-ext"), "+-"), 4);
	assert_int_equal(address_extension(str_c("+ext"), "+"), -1);
	assert_int_equal(address_extension(str_c("owner-list"), "-"), -1);
	assert_int_equal(address_extension(str_c("list-request"), "-"), -1);
	assert_int_equal(address_extension(str_c("double-bounce"), "-"), -1);
	assert_int_equal(address_extension(str_c("user+ext"), ""), -1);
}

static void test_hostnames(void **state)
{
	static const char *const good[] = {"a", "a.b", "a-b.c_d", "1a.2", "xn--bcher-kva.example"};
	static const char *const bad[] = {
		"", "-a", "a-", "a..b", ".a", "a.", "1.2.3.4", "12", "a b", "a/b", "a@b"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!address_valid_hostname(str_c(good[i])))
			fail_msg("%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (address_valid_hostname(str_c(bad[i])))
			fail_msg("%s", bad[i]);
}

static void test_literals(void **state)
{
	static const char *const good[] = {"[192.0.2.1]", "[IPv6:::1]", "[IPv6:::]", "[IPv6:1::]",
		"[ipv6:2001:db8::1]", "[IPv6:1:2:3:4:5:6:7:8]", "[IPv6:1:2:3:4:5:6:192.0.2.1]",
		"[IPv6:::ffff:192.0.2.1]", "[IPv6:1:2:3:4:5:6:7]", "[IPv6:1:2:3:4:5:192.0.2.1]"};
	static const char *const bad[] = {"", "[]", "[", "192.0.2.1", "[192.0.2]", "[192.0.2.256]", "[::1]",
		"[IPv6:]", "[IPv6:1]", "[IPv6:1:2:3:4:5:6:7:8:9]", "[IPv6:1::2::3]", "[IPv6:::1::2]",
		"[IPv6::1:2]", "[IPv6:1:2:]", "[IPv6:1::2:]", "[IPv6:12345::1]", "[IPv6:g::1]",
		"[IPv6:1:2:3:4:5:6:7:192.0.2.1]", "[IPv6:1:2:3:4::5:6:7:8]", "[IPv6:1::192.0.2]",
		"[IPv6:1::192.0.2.1.1]", "[IPv6:1::b192.0.2.1]", "[IPv6:::::1]"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!address_valid_literal(str_c(good[i])))
			fail_msg("%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (address_valid_literal(str_c(bad[i])))
			fail_msg("%s", bad[i]);
}

static void test_xtext(void **state)
{
	static const char *const bad[] = {"a+0", "a+", "a+0g", "a+00", "a+0A", "a+0D", "a b", "a+2b"};
	struct buf out = BUF(100), back = BUF(100);

	assert_true(xtext_decode(STR("rfc822;a+2Bb=c@d+20e"), &out));
	assert_string_equal(buf_cstr(&out), "rfc822;a+b=c@d e");
	xtext_encode(buf_slice(&out), &back);
	assert_string_equal(buf_cstr(&back), "rfc822;a+2Bb+3Dc@d+20e");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		buf_clear(&out);
		if (xtext_decode(str_c(bad[i]), &out))
			fail_msg("%s", bad[i]);
	}
	buf_free(&out);
	buf_free(&back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_long_address_is_refused),
		cmocka_unit_test(test_quote_and_back),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_hostnames),
		cmocka_unit_test(test_literals),
		cmocka_unit_test(test_xtext),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
