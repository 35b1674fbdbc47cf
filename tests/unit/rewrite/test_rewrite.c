/* Expectations were obtained by asking a Postfix 3.7 for the same addresses with the same parameters. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../support/test_config.h"
#include "rewrite/resolve.h"

struct rewrite_case {
	bool local;
	const char *address, *result;
};

static const struct rewrite_case plain_cases[] = {
	{true, "user", "user@example.com"},
	{true, "", ""},
	{true, "site!user", "user@site"},
	{true, "user%dom", "user@dom"},
	{true, "user%dom@other", "user%dom@other"},
	{true, "user@host", "user@host"},
	{true, "user@host.", "user@host"},
	{true, "user@host..", "user@host.."},
	{true, "@a,@b:user@site.org", "user@site.org"},
	{true, "@a:user", "user@example.com"},
	{true, "a b", "a b@example.com"},
	{true, "a b!c", "a b!c@example.com"},
	{true, "user@[1.2.3.4]", "user@[1.2.3.4]"},
	{true, "user@", "user@"},
	{true, "a!b!c", "b!c@a"},
	{true, "a!b@c", "a!b@c"},
	{true, "a!b%c", "b%c@a"},
	{true, "a%b%c", "a%b@c"},
	{true, "user@a@b", "user@a@b"},
	{false, "user", "user"},
	{false, "user@host", "user@host"},
	{false, "user@host.", "user@host"},
	{false, "a!b", "b@a"},
	{true, "user@localhost", "user@localhost"},
	{true, "!user", "user@"},
	{true, "site!", "@site"},
	{true, "%dom", "@dom"},
	{true, "user%", "user@"},
	{true, "us er", "us er@example.com"},
	{true, "user@dom%x", "user@dom%x"},
	{true, "a@b!c", "a@b!c"},
	{true, ".", ".@example.com"},
	{true, "user.", "user.@example.com"},
};

static const struct rewrite_case completing_cases[] = {
	{true, "user@host", "user@host.example.com"},
	{true, "user@localhost", "user@localhost.example.com"},
	{true, "user@host.", "user@host"},
	{true, "user@[1.2.3.4]", "user@[1.2.3.4]"},
	{true, "user@host.dom", "user@host.dom"},
	{true, "user@.x", "user@.x"},
	{true, "user@", "user@"},
	{true, "a%b", "a@b.example.com"},
	{true, "a%b@c", "a%b@c.example.com"},
	{true, "user", "user@example.com"},
	{true, "a!b", "b@a.example.com"},
	{true, "user@host..", "user@host.."},
	{true, "user@a@b", "user@a@b.example.com"},
	{false, "user", "user@domain.invalid"},
	{false, "user@host", "user@host.domain.invalid"},
	{false, "a!b", "b@a.domain.invalid"},
	{false, "a%b", "a@b.domain.invalid"},
};

static const struct rewrite_case untouched_cases[] = {
	{true, "user", "user"},
	{true, "a!b", "a!b"},
	{true, "a%b", "a%b"},
};

static void check_cases(const struct config *cfg, const struct rewrite_case *cases, size_t count)
{
	struct err err = {""};
	struct resolver *r = resolver_new(cfg, &err);

	assert_non_null(r);
	for (size_t i = 0; i < count; i++) {
		struct buf out = BUF(1000);

		rewrite_address(r, cases[i].local, str_c(cases[i].address), &out);
		assert_string_equal(buf_cstr(&out), cases[i].result);
		buf_free(&out);
	}
	resolver_free(&r);
}

static void test_rewrite(void **state)
{
	struct config cfg = test_config();

	check_cases(&cfg, plain_cases, sizeof(plain_cases) / sizeof(*plain_cases));
	cfg.append_dot_mydomain = true;
	cfg.remote_header_rewrite_domain = "domain.invalid";
	check_cases(&cfg, completing_cases, sizeof(completing_cases) / sizeof(*completing_cases));
	cfg = test_config();
	cfg.append_at_myorigin = cfg.swap_bangpath = cfg.allow_percent_hack = false;
	check_cases(&cfg, untouched_cases, sizeof(untouched_cases) / sizeof(*untouched_cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rewrite)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
