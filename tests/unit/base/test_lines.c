#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/lines.h"
#include "base/mem.h"

/* What comes out, as "line|", "line^" (CRLF), "part+". */
static void render(struct str input, size_t step, struct buf *out)
{
	static const char marks[] = {[LINES_LINE] = '|', [LINES_LINE_CRLF] = '^', [LINES_PART] = '+'};
	enum lines_result kind;
	struct lines l;
	struct str piece;

	lines_begin(&l);
	while ((kind = lines_next(&l, &piece)) != LINES_END) {
		if (kind == LINES_WANT) {
			piece = str_first(input, step);
			lines_feed(&l, piece);
			input = str_from(input, piece.n);
			continue;
		}
		buf_str(out, piece);
		buf_putc(out, marks[kind]);
	}
	assert_int_equal(lines_next(&l, &piece), LINES_END);
	lines_free(&l);
}

static void test_lines(void **state)
{
	static const struct {
		const char *input, *output;
	} cases[] = {
		{"", ""},
		{"a", "a|"},
		{"a\n", "a|"},
		{"a\r\n", "a^"},
		{"a\r\n\n\r\nb\rc\n\r", "a^|^b\rc|\r|"},
		{"\r\r\n", "\r^"},
		{"\n\n", "||"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t step = 1; step < 20; step++) {
			struct buf out = BUF(100);

			render(str_c(cases[i].input), step, &out);
			assert_string_equal(buf_cstr(&out), cases[i].output);
			buf_free(&out);
		}
	}
}

/* A line over the limit comes in parts that join to the whole, with CR and LF kept together. */
static void test_long_lines(void **state)
{
	struct buf in = BUF(1 << 20), out = BUF(1 << 20);
	struct lines l;
	struct str piece;
	enum lines_result kind;
	size_t parts = 0, fed = 0;

	for (size_t i = 0; i < 300000; i++)
		buf_putc(&in, (char)('a' + i % 26));
	buf_puts(&in, "\r\nend\n");
	lines_begin(&l);
	while ((kind = lines_next(&l, &piece)) != LINES_LINE_CRLF) {
		if (kind == LINES_WANT) {
			lines_feed(&l, str_first(str_from(buf_slice(&in), fed), LINES_CHUNK));
			fed += LINES_CHUNK;
			continue;
		}
		assert_int_equal(kind, LINES_PART);
		buf_str(&out, piece);
		parts++;
	}
	buf_str(&out, piece);
	assert_true(parts > 2);
	assert_int_equal(out.len, 300000);
	assert_memory_equal(out.data, in.data, out.len);
	assert_int_equal(lines_next(&l, &piece), LINES_LINE);
	assert_true(str_is(piece, "end"));
	lines_free(&l);
	buf_free(&in);
	buf_free(&out);
}

static void test_carriage_return_at_the_boundary(void **state)
{
	struct buf in = BUF(1 << 20);
	struct lines l;
	struct str piece;

	for (size_t i = 0; i < LINES_CHUNK; i++)
		buf_putc(&in, 'x');
	lines_begin(&l);
	assert_int_equal(lines_next(&l, &piece), LINES_WANT);
	lines_feed(&l, buf_slice(&in));
	assert_int_equal(lines_next(&l, &piece), LINES_WANT);
	lines_feed(&l, STR("y\r"));
	assert_int_equal(lines_next(&l, &piece), LINES_PART);
	assert_int_equal(piece.n, LINES_CHUNK + 1);
	assert_int_equal(lines_next(&l, &piece), LINES_WANT);
	lines_feed(&l, STR("\n"));
	assert_int_equal(lines_next(&l, &piece), LINES_LINE_CRLF);
	assert_int_equal(piece.n, 0);
	lines_free(&l);
	buf_free(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_carriage_return_at_the_boundary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
