#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/logical.h"

static void expect(
	struct logical_reader *r, struct buf *buf, const char *text, int first, int last, bool orphan)
{
	struct logical_line line;

	assert_true(logical_next(r, buf, &line));
	if (!str_is(line.text, text))
		fail_msg("want [%s] got [" STR_FMT "]", text, STR_ARG(line.text));
	assert_int_equal(line.first, first);
	assert_int_equal(line.last, last);
	assert_int_equal(line.orphan, orphan);
}

static void test_lines(void **state)
{
	struct logical_reader r = logical_of(
		STR("# c\n\n  \nfirst  \r\nsecond\n  more\n# inside\n\n\tand more \n# after\nthird"));
	struct buf buf = BUF(100);
	struct logical_line line;

	expect(&r, &buf, "first", 4, 4, false);
	expect(&r, &buf, "second  more\tand more", 5, 9, false);
	expect(&r, &buf, "third", 11, 11, false);
	assert_false(logical_next(&r, &buf, &line));
	assert_false(logical_next(&r, &buf, &line));
	buf_free(&buf);
}

/* Old files have form feeds between their pages. */
static void test_form_feeds(void **state)
{
	struct logical_reader r = logical_of(STR("a\f\n\f\n\f# c\nb\n\vc\n"));
	struct buf buf = BUF(100);
	struct logical_line line;

	expect(&r, &buf, "a", 1, 1, false);
	expect(&r, &buf, "b\vc", 4, 5, false);
	assert_false(logical_next(&r, &buf, &line));
	buf_free(&buf);
}

static void test_orphans(void **state)
{
	struct logical_reader r = logical_of(STR("# c\n  lost\n  too\nx\n  # no continuation\n"));
	struct buf buf = BUF(100);
	struct logical_line line;

	expect(&r, &buf, "  lost  too", 2, 3, true);
	expect(&r, &buf, "x", 4, 4, false);
	assert_false(logical_next(&r, &buf, &line));
	buf_free(&buf);
}

/* What a caller has passed is what the reader has taken: comments after an entry belong to the next. */
static void test_rest(void **state)
{
	struct logical_reader r = logical_of(STR("a\n b\n# c\nd\n"));
	struct buf buf = BUF(100);
	struct logical_line line;

	assert_true(logical_next(&r, &buf, &line));
	assert_true(str_is(r.rest, "# c\nd\n"));
	buf_free(&buf);
}

static void test_too_long(void **state)
{
	struct logical_reader r = logical_of(STR("123456\n 789\nnext\n"));
	struct buf buf = BUF(8);
	struct logical_line line;

	assert_true(logical_next(&r, &buf, &line));
	assert_true(str_is(line.text, "123456 7"));
	assert_true(buf.over);
	expect(&r, &buf, "next", 3, 3, false);
	assert_false(buf.over);
	buf_free(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_form_feeds),
		cmocka_unit_test(test_orphans),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
