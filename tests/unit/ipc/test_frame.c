#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/sys.h"
#include "ipc/frame.h"

static void test_round_trip(void **state)
{
	struct buf b = BUF(FRAME_MAX);
	struct pool *pool = pool_new(256);
	size_t mark = frame_begin(&b, 7), inner, used;
	struct cursor fields, nested;
	struct frame_field f;
	uint16_t type;

	frame_text(&b, 1, "hello");
	frame_text(&b, 2, NULL);
	inner = frame_open(&b, 3);
	frame_u64(&b, 1, UINT64_C(0x1122334455667788));
	frame_close(&b, inner);
	frame_bytes(&b, 4, (struct str){"a\0b", 3});
	frame_end(&b, mark);
	mark = frame_begin(&b, 8);
	frame_end(&b, mark);

	assert_int_equal(frame_parse(buf_slice(&b), &type, &fields, &used), 1);
	assert_int_equal(type, 7);
	assert_true(frame_next(&fields, &f));
	assert_int_equal(f.tag, 1);
	assert_string_equal(frame_field_text(pool, &f), "hello");
	assert_true(frame_next(&fields, &f));
	assert_int_equal(f.tag, 3);
	nested = cursor_of(f.value.p, f.value.n);
	assert_true(frame_next(&nested, &f));
	assert_int_equal(frame_field_u64(&f), UINT64_C(0x1122334455667788));
	assert_true(frame_next(&fields, &f));
	assert_null(frame_field_text(pool, &f));
	assert_int_equal(frame_field_u64(&f), 0);
	assert_false(frame_next(&fields, &f));
	assert_false(fields.bad);

	assert_int_equal(frame_parse(str_from(buf_slice(&b), used), &type, &fields, &used), 1);
	assert_int_equal(type, 8);
	assert_false(frame_next(&fields, &f));
	pool_free(&pool);
	buf_free(&b);
}

static bool note_type(void *arg, uint16_t type, struct cursor fields)
{
	uint16_t *sum = arg;

	*sum = (uint16_t)(*sum * 10 + type);
	return type != 9;
}

static void test_take_all(void **state)
{
	struct buf b = BUF(1000);
	uint16_t seen = 0;

	frame_end(&b, frame_begin(&b, 1));
	frame_end(&b, frame_begin(&b, 2));
	buf_add(&b, "\0\0", 2);
	assert_true(frame_take_all(&b, note_type, &seen));
	assert_int_equal(seen, 12);
	assert_int_equal(b.len, 2);
	buf_clear(&b);
	frame_end(&b, frame_begin(&b, 9));
	assert_false(frame_take_all(&b, note_type, &seen));
	buf_clear(&b);
	buf_add(&b, "\377\377\377\377", 4);
	assert_false(frame_take_all(&b, note_type, &seen));
	buf_free(&b);
}

static void test_incomplete(void **state)
{
	struct buf b = BUF(1000);
	size_t mark = frame_begin(&b, 7), used;
	struct cursor fields;
	uint16_t type;

	frame_text(&b, 1, "hello");
	frame_end(&b, mark);
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(frame_parse(str_first(buf_slice(&b), n), &type, &fields, &used), 0);
	buf_free(&b);
}

static void test_broken(void **state)
{
	static const unsigned char huge[] = {1, 0, 0, 1, 0, 0}, tiny[] = {1, 0, 0, 0, 9, 9};
	static const unsigned char leaves[] = {8, 0, 0, 0, 7, 0, 1, 2, 0, 0, 0, 'x'};
	struct cursor fields;
	struct frame_field f;
	uint16_t type;
	size_t used;

	assert_int_equal(frame_parse((struct str){(const char *)huge, 6}, &type, &fields, &used), -1);
	assert_int_equal(frame_parse((struct str){(const char *)tiny, 6}, &type, &fields, &used), -1);
	assert_int_equal(
		frame_parse((struct str){(const char *)leaves, sizeof(leaves)}, &type, &fields, &used), 1);
	assert_false(frame_next(&fields, &f));
	assert_true(fields.bad);
	assert_false(frame_next(&fields, &f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_take_all),
		cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
