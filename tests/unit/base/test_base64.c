#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
	struct str plain;
	const char *coded;
} pairs[] = {
	/* RFC 4648 section 10, and bytes of all kinds */
	{STR(""), ""},
	{STR("f"), "Zg=="},
	{STR("fo"), "Zm8="},
	{STR("foo"), "Zm9v"},
	{STR("foob"), "Zm9vYg=="},
	{STR("fooba"), "Zm9vYmE="},
	{STR("foobar"), "Zm9vYmFy"},
	{STR("\0\377\376\0"), "AP/+AA=="},
};

static const char *const malformed[] = {
	"Z", "Zg", "Zg=", "=", "====", "Z===", "Zg==Zg==", "Zm9v\n", "Z\xffg=", "Zm=v", "Zm9-"};

static void test_both_ways(void **state)
{
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		struct buf out = BUF(100);

		assert_true(base64_encode(pairs[i].plain, &out));
		assert_string_equal(buf_cstr(&out), pairs[i].coded);
		buf_clear(&out);
		assert_true(base64_decode(str_c(pairs[i].coded), &out));
		assert_true(str_eq(buf_slice(&out), pairs[i].plain));
		buf_free(&out);
	}
}

static void test_malformed(void **state)
{
	struct buf out = BUF(3);

	for (size_t i = 0; i < sizeof(malformed) / sizeof(*malformed); i++)
		assert_false(base64_decode(str_c(malformed[i]), &out));
	buf_clear(&out);
	assert_false(base64_decode(STR("Zm9vYg=="), &out));
	buf_clear(&out);
	assert_false(base64_encode(STR("foo"), &out));
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
