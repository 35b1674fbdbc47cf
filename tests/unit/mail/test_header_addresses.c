#include "mail/header_addresses.h"

#include "mail/address.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct calls {
	int addresses, stripped;
};

/* Addresses without domain get one; "stop" gives up; "keep" says nothing. */
static bool complete(void *arg, struct str written, struct buf *to)
{
	struct calls *calls = arg;

	calls->addresses++;
	if (str_is(written, "keep") || str_is(written, "\"keep\"@y"))
		return true;
	address_unquote(written, to);
	if (str_find(written, '@') < 0 || written.p[written.n - 1] == '"')
		buf_puts(to, "@x");
	return !str_is(written, "stop");
}

static void stripped(void *arg, struct str piece)
{
	struct calls *calls = arg;

	calls->stripped++;
}

static enum header_change map(const char *header, size_t max, struct calls *calls, struct buf *out)
{
	struct header_map map = {complete, stripped, calls};

	*calls = (struct calls){0};
	return header_addresses_map(str_c(header), max, &map, out);
}

struct header_case {
	const char *value, *result; /* result NULL: nothing changes */
	int addresses;
};

static const struct header_case cases[] = {
	{"a@b, <c@d>", NULL, 2},
	{" (one)  a @ b  ,\r\n\t<c@d> (e)", NULL, 2},
	{"a, B C <c>, d (e f), g: h, i@j;, \"q r\"", "a@x, B C <c@x>, d@x (e f), g: h@x, i@j;, \"q r\"@x", 6},
	{"a b", "a@x, b@x", 2},
	{"a(c)b", "a@x, b@x (c)", 2},
	{"(c) a (d), (e)", "a@x (c) (d), (e)", 1},
	{"a . b (c) @ d", NULL, 1},
	{"\"u@v\"", "\"u@v\"@x", 1},
	{"a@b@c", "\"a@b\"@c", 1},
	{"\"a\"@b", "a@b", 1},
	{"a\\b@c", NULL, 1},
	{"a\\(b@c, d", "\"a(b\"@c, d@x", 2},
	{"a\x01@c", NULL, 1},
	{"<>", NULL, 0},
	{"<>, a", "<>, a@x", 1},
	{"<a, b>", "<\"a, b\"@x>", 1},
	{"<a b@c> d", "<ab@c>, d@x", 2},
	{"", NULL, 0},
	{" , ;", NULL, 0},
	{"(only a comment)", NULL, 0},
	{"a,, b,", "a@x, , b@x, ", 2},
	{"\"open", "open@x", 1},
	{"a@[open, keep", NULL, 1},
	{"a (open, keep", "a@x (open, keep", 1},
	{"keep, a", "keep, a@x", 2},
	{"\"keep\"@y", NULL, 1},
	{"a, \"keep\"@y", "a@x, keep@y", 2},
	{"<a", "\"<a\"@x", 1},
	{"a>", "a@x>", 1},
	{"x <y> z <a@b> (c) d", "x <y@x>z <a@b>, d@x (c)", 3},
	{"a: b; c", "a: b@x;, c@x", 2},
	{"a@[b\\]c]", "a@[b] c]", 1},
	{"a,\r\n b,\r\n\tc", "a@x, b@x, c@x", 3},
	{"a (b\r\n\tc)", "a@x (b \tc)", 1},
	{"a, \\", "a@x, \"\"@x", 2},
	{"a, \"b\tc\"", "a@x, \"b c\"@x", 2},
	{"\"\"@d", NULL, 1},
	{"@d", "\"\"@d", 1},
	{"@", "\"\"", 1},
};

static void test_cases(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct buf header = BUF(1000), wanted = BUF(1000), out = BUF(1000);
		struct calls calls;
		enum header_change change;

		buf_printf(&header, "To: %s", cases[i].value);
		change = map(buf_cstr(&header), 100, &calls, &out);
		if (change != (cases[i].result ? HEADER_CHANGED : HEADER_SAME) ||
			calls.addresses != cases[i].addresses)
			fail_msg("%s: %d %s", cases[i].value, calls.addresses, buf_cstr(&out));
		if (cases[i].result) {
			buf_printf(&wanted, "To: %s", cases[i].result);
			assert_string_equal(buf_cstr(&out), buf_cstr(&wanted));
		}
		buf_free(&header);
		buf_free(&wanted);
		buf_free(&out);
	}
}

/* Lines are under 70 bytes where commas allow it; a tab does not count. */
static void test_folding(void **state)
{
	const char *twenty = "aaaaaaaaaaaaaaaaaa"; /* and @x */
	struct buf header = BUF(2000), out = BUF(2000);
	struct calls calls;
	struct str rest, line;
	int lines = 0;

	buf_puts(&header, "Resent-To: ");
	for (int i = 0; i < 9; i++)
		buf_printf(&header, "%s,", twenty);
	buf_puts(&header, "b");
	assert_int_equal(map(buf_cstr(&header), 100, &calls, &out), HEADER_CHANGED);
	rest = buf_slice(&out);
	while (str_word(&rest, "\r\n", &line)) {
		assert_int_equal(line.n, lines == 0 ? 54 : lines < 3 ? 66 : 26);
		lines++;
	}
	assert_int_equal(lines, 4);
	buf_clear(&out);
	/* A comma at the end makes no empty line. */
	assert_int_equal(map("To: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,", 100,
				 &calls, &out),
		HEADER_CHANGED);
	assert_int_equal(str_find(buf_slice(&out), '\r'), -1);
	buf_free(&header);
	buf_free(&out);
}

/* Over 250 bytes around an address are dropped. */
static void test_stripping(void **state)
{
	struct buf header = BUF(1000), out = BUF(1000);
	struct calls calls;

	for (int more = 0; more < 2; more++) {
		buf_clear(&header);
		buf_clear(&out);
		buf_puts(&header, "To: b (");
		for (int i = 0; i < 247 + more; i++)
			buf_putc(&header, 'c');
		buf_puts(&header, "), d");
		assert_int_equal(map(buf_cstr(&header), 100, &calls, &out), HEADER_CHANGED);
		assert_int_equal(calls.stripped, more);
		if (more)
			assert_string_equal(buf_cstr(&out), "To: <b@x>, d@x");
		else
			assert_true(str_starts(buf_slice(&out), STR("To: b@x (ccc")));
	}
	buf_free(&header);
	buf_free(&out);
}

static void test_names(void **state)
{
	assert_int_equal(header_name_length(STR("To: x")), 2);
	assert_int_equal(header_name_length(STR("To \t: x")), 2);
	assert_int_equal(header_name_length(STR(": x")), 0);
	assert_int_equal(header_name_length(STR("To x")), 0);
	assert_int_equal(header_name_length(STR("")), 0);
	assert_int_equal(header_addresses_kind(STR("RESENT-From")), HEADER_OF_SENDERS);
	assert_int_equal(header_addresses_kind(STR("resent-reply-to")), HEADER_OF_RECIPIENTS);
	assert_int_equal(header_addresses_kind(STR("Subject")), HEADER_WITHOUT_ADDRESSES);
}

static void test_limits(void **state)
{
	struct buf out = BUF(1000), small = BUF(4);
	struct calls calls;

	assert_int_equal(map("To: a, b, c", 3, &calls, &out), HEADER_CHANGED);
	assert_string_equal(buf_cstr(&out), "To: a@x, b@x");
	assert_int_equal(map("To: a, stop, c", 100, &calls, &out), HEADER_GIVEN_UP);
	assert_int_equal(map("To: abcdef", 100, &calls, &small), HEADER_CHANGED);
	assert_true(small.over);
	assert_int_equal(map("no header", 100, &calls, &out), HEADER_SAME);
	buf_free(&out);
	buf_free(&small);
}

/* Long and deep input costs no more than its length. */
static void test_many(void **state)
{
	static const char *const parts[] = {
		"a,", "(", "<", ">", ":", "a:;", "<>", "a b", "\"", "@a:", "[", "\\"};

	for (size_t part = 0; part < sizeof(parts) / sizeof(*parts); part++) {
		struct buf value = BUF(1 << 20), out = BUF(4 << 20);
		struct calls calls;

		buf_puts(&value, "To: ");
		for (int i = 0; i < 100000; i++)
			buf_puts(&value, i < 50000 ? "a," : parts[part]);
		assert_int_not_equal(map(buf_cstr(&value), SIZE_MAX, &calls, &out), HEADER_GIVEN_UP);
		assert_true(calls.addresses >= 1);
		buf_free(&value);
		buf_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_folding),
		cmocka_unit_test(test_stripping),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
