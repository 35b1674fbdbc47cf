/* What filters may have clients told. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "milter/milter_private.h"

static void expect(const char *text, const char *wanted)
{
	struct buf out = BUF(MILTER_REPLY_MAX);
	bool good = reply_parse(str_c(text), &out);

	assert_int_equal(good, wanted != NULL);
	if (wanted)
		assert_string_equal(buf_cstr(&out), wanted);
	buf_free(&out);
}

static void test_good(void **state)
{
	expect("550 5.7.1 no", "550 5.7.1 no");
	expect("451 come again", "451 come again");
	expect("550-5.7.1 one\r\n550 5.7.1 two", "550-5.7.1 one\r\n550 5.7.1 two");
	expect("421 4.3.2 bye", "421 4.3.2 bye");
}

static void test_percent(void **state)
{
	expect("550 5.7.1 100%% sure", "550 5.7.1 100% sure");
	expect("550 5.7.1 %s and %", "550 5.7.1 s and %");
}

static void test_bad(void **state)
{
	static const char *const replies[] = {"", "5", "55", "550", "550 ", "250 2.0.0 ok", "354 go",
		"5x0 no", "550x no", "550 4.7.1 other class", "451 5.7.1 other class", "550-5.7.1 not ended",
		"550-a\r\n5", "550-a\r\n451 b", "550 a\r\n550 b", "550-a\r\n", "x50 no"};

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++)
		expect(replies[i], NULL);
}

static void test_lines(void **state)
{
	struct buf text = BUF(10000);

	for (int i = 0; i < 31; i++)
		buf_puts(&text, "550-5.7.1 line\r\n");
	buf_puts(&text, "550 5.7.1 end");
	expect(buf_cstr(&text), buf_cstr(&text));
	buf_clear(&text);
	for (int i = 0; i < 32; i++)
		buf_puts(&text, "550-5.7.1 line\r\n");
	buf_puts(&text, "550 5.7.1 end");
	expect(buf_cstr(&text), NULL);
	buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_percent),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
