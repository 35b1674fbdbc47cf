#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "mail/address_list.h"

static void test_lists(void **state)
{
	static const struct {
		const char *text, *items; /* items: joined by '|'; NULL: refused */
		bool loose;
	} cases[] = {
		{"", "", false},
		{"a@x.org", "a@x.org|", false},
		{"a@x.org, b@y.org", "a@x.org|b@y.org|", false},
		{" a , , b,", "a|b|", false},
		{"Joe Doe <jd@x.org>", "jd@x.org|", false},
		{"\"A, B\" <j.oe@x.org>,\r\n\t(c, d) c@x.org", "j.oe@x.org|c@x.org|", false},
		{"grp: a@x.org, B <b@x.org>; c@x.org", "a@x.org|b@x.org|c@x.org|", false},
		{"undisclosed-recipients:;", "", false},
		{"<>", "|", false},
		{"<@r.org,@s.org:a@x.org>", "a@x.org|", false},
		{"\"a b\"@x.org", "a b@x.org|", false},
		{"a b c", "a|b|c|", true},
		{"s s@x", "s|s@x|", true},
		{"a @ x . org", "a@x.org|", false},
		{"a@[192.0.2.1]", "a@[192.0.2.1]|", false},
		{"a@x.org (comment (nested)) ", "a@x.org|", false},
		{"\"open@x.org", NULL, false},
		{"a@x.org, \"open", NULL, false},
		{"name: <a>", "name|a|", false},
		{"a:b@x.org", "a:b@x.org|", false},
		{"<a,b>", "a, b|", false},
		{"<@r.org:>", "", false},
		{"a <b", "a <b|", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct address_list list = {0};
		struct buf joined = BUF(1000);

		assert_int_equal(address_list_parse(str_c(cases[i].text), &list), cases[i].items != NULL);
		for (size_t k = 0; k < list.count; k++)
			buf_printf(&joined, "%s|", list.items[k]);
		assert_string_equal(buf_cstr(&joined), cases[i].items ? cases[i].items : "");
		assert_int_equal(list.loose, cases[i].loose);
		address_list_free(&list);
		buf_free(&joined);
	}
}

static void test_move(void **state)
{
	struct address_list a = {0}, b = {0};

	assert_true(address_list_parse(STR("a, b"), &a));
	assert_true(address_list_parse(STR("c"), &b));
	address_list_move(&a, &b);
	assert_int_equal(a.count, 0);
	assert_int_equal(b.count, 3);
	assert_string_equal(b.items[2], "b");
	address_list_free(&a);
	address_list_free(&b);
}

/* Many addresses, many brackets: time and memory stay in proportion. */
static void test_large(void **state)
{
	struct buf text = BUF(10 << 20);
	struct address_list list = {0};

	for (int i = 0; i < 100000; i++)
		buf_printf(&text, "%sName %d <user%d@x.org>", i ? ", " : "", i, i);
	assert_true(address_list_parse(buf_slice(&text), &list));
	assert_int_equal(list.count, 100000);
	address_list_free(&list);
	buf_clear(&text);
	for (int i = 0; i < 100000; i++)
		buf_puts(&text, "<((((:");
	address_list_parse(buf_slice(&text), &list);
	address_list_free(&list);
	buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_move),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
