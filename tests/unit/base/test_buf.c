#include "base/buf.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/mem.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_grows_to_its_maximum(void **state)
{
	struct buf b = BUF(100);

	for (int i = 0; i < 100; i++)
		assert_true(buf_putc(&b, 'x'));
	assert_false(b.over);
	assert_false(buf_putc(&b, 'y'));
	assert_true(b.over);
	assert_int_equal(b.len, 100);
	assert_int_equal(strlen(buf_cstr(&b)), 100);
	buf_clear(&b);
	assert_false(b.over);
	assert_string_equal(buf_cstr(&b), "");
	buf_free(&b);
}

static void test_addition_too_large_is_dropped_whole(void **state)
{
	struct buf b = BUF(8);

	assert_true(buf_puts(&b, "12345"));
	assert_false(buf_puts(&b, "6789"));
	assert_false(buf_printf(&b, "%d", 1234));
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_string_equal(buf_cstr(&b), "12345");
	assert_true(buf_printf(&b, "%d", 123));
	assert_string_equal(buf_cstr(&b), "12345123");
	buf_free(&b);
}

static void test_empty(void **state)
{
	struct buf b = BUF(8);
	char *taken;

	assert_string_equal(buf_cstr(&b), "");
	assert_int_equal(buf_slice(&b).n, 0);
	buf_truncate(&b, 3);
	buf_remove(&b, 0, 3);
	assert_true(buf_add(&b, NULL, 0));
	buf_free(&b);
	taken = buf_take(&b);
	assert_string_equal(taken, "");
	x_free(&taken);
}

static void test_remove(void **state)
{
	struct buf b = BUF(64);
	char *taken;

	buf_puts(&b, "hello world");
	buf_remove(&b, 5, 1);
	assert_string_equal(buf_cstr(&b), "helloworld");
	buf_remove(&b, 5, SIZE_MAX);
	assert_string_equal(buf_cstr(&b), "hello");
	buf_remove(&b, 9, 1);
	buf_truncate(&b, 4);
	taken = buf_take(&b);
	assert_string_equal(taken, "hell");
	assert_int_equal(b.len, 0);
	x_free(&taken);
}

static void test_cursor(void **state)
{
	static const unsigned char data[] = {1, 2, 1, 4, 3, 2, 1, 8, 7, 6, 5, 4, 3, 2, 1, 'a', 'b', 'c'};
	struct cursor c = cursor_of(data, sizeof(data));
	uint8_t u8 = 0;
	uint16_t u16 = 0;
	uint32_t u32 = 0;
	uint64_t u64 = 0;
	struct str s;

	assert_true(
		cursor_u8(&c, &u8) && cursor_u16(&c, &u16) && cursor_u32(&c, &u32) && cursor_u64(&c, &u64));
	assert_int_equal(u8, 1);
	assert_int_equal(u16, 0x0102);
	assert_int_equal(u32, 0x01020304);
	assert_true(u64 == 0x0102030405060708);
	assert_true(str_is(cursor_rest(&c), "abc"));
	assert_true(cursor_bytes(&c, 3, &s));
	assert_true(cursor_bytes(&c, 0, &s));
	assert_false(c.bad);
}

static void test_cursor_goes_bad_for_good(void **state)
{
	struct cursor c = cursor_of("abc", 3);
	uint32_t u32;
	uint8_t u8;
	struct str s;

	assert_false(cursor_u32(&c, &u32));
	assert_true(c.bad);
	assert_false(cursor_u8(&c, &u8));
	assert_int_equal(cursor_rest(&c).n, 0);
	c = cursor_of("abc", 3);
	assert_false(cursor_skip(&c, SIZE_MAX));
	c = cursor_of(NULL, 0);
	assert_true(cursor_bytes(&c, 0, &s));
	assert_false(cursor_u8(&c, &u8));
}

static void test_err(void **state)
{
	struct err e;
	char longer[1000];

	assert_false(err_set(&e, "line %d", 3));
	assert_string_equal(e.text, "line 3");
	assert_false(err_prefix(&e, "main.cf"));
	assert_string_equal(e.text, "main.cf: line 3");
	errno = ENOENT;
	assert_false(err_errno(&e, "open %s", "x"));
	assert_string_equal(e.text, "open x: No such file or directory");
	assert_false(err_set(&e, "again: %s", e.text));
	assert_string_equal(e.text, "again: open x: No such file or directory");
	memset(longer, 'y', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	err_prefix(&e, "%s", longer);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	assert_false(err_set(NULL, "nobody cares"));
	assert_false(err_errno(NULL, "nobody cares"));
	assert_false(err_prefix(NULL, "nobody cares"));
}

static void test_pool(void **state)
{
	struct pool *pool = pool_new(0);
	char *s = pool_strndup(pool, "abcdef", 3);

	for (size_t size = 0; size < 3000; size += 7) {
		unsigned char *p = pool_alloc(pool, size);

		assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xff, size);
	}
	assert_string_equal(s, "abc");
	assert_string_equal(pool_printf(pool, "%s-%d", s, 5), "abc-5");
	assert_null(pool_strdup(pool, NULL));
	pool_alloc(pool, 1 << 20);
	pool_free(&pool);
	assert_null(pool);
	pool_free(&pool);
}

struct owner {
	struct pool *pool;
};

static void test_pool_of_its_owner(void **state)
{
	struct pool *pool = pool_new(256);
	struct owner *owner = pool_alloc(pool, sizeof(*owner));

	owner->pool = pool;
	pool_free(&owner->pool);
}

static void test_x_functions(void **state)
{
	char *s = x_asprintf("%d%s", 1, "a");

	assert_string_equal(s, "1a");
	s = x_realloc(s, 100);
	assert_string_equal(s, "1a");
	x_free(&s);
	assert_null(s);
	s = x_alloc(0);
	assert_non_null(s);
	x_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows_to_its_maximum),
		cmocka_unit_test(test_addition_too_large_is_dropped_whole),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_cursor),
		cmocka_unit_test(test_cursor_goes_bad_for_good),
		cmocka_unit_test(test_err),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_pool_of_its_owner),
		cmocka_unit_test(test_x_functions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
