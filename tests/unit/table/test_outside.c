/* The helper that answers for tables outside of a jail: only for those that were named, and until it is gone.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "table/table_outside.h"

#define ALLOWED "inline:{Key=value, other=x}"

static enum table_status ask(const char *spec, int flags, const char *key, struct buf *value, struct err *err)
{
	buf_clear(value);
	*err = (struct err){""};
	return table_outside_lookup(spec, flags, str_c(key), value, NULL, err);
}

static void test_allowed(void **state)
{
	struct buf value = BUF(100);
	struct err err;

	assert_int_equal(ask(ALLOWED, TABLE_FOLD, "KEY", &value, &err), TABLE_FOUND);
	assert_string_equal(buf_cstr(&value), "value");
	assert_int_equal(ask(ALLOWED, 0, "Key", &value, &err), TABLE_FOUND);
	assert_int_equal(ask(ALLOWED, 0, "key", &value, &err), TABLE_NOT_FOUND);
	assert_int_equal(ask("fail:x", 0, "key", &value, &err), TABLE_RETRY);
	assert_string_equal(err.text, "Application error");
	buf_free(&value);
}

static void test_not_allowed(void **state)
{
	struct buf value = BUF(100);
	struct err err;

	assert_int_equal(ask("static:x", 0, "key", &value, &err), TABLE_MISCONFIGURED);
	assert_string_equal(err.text, "static:x: not a table of this service");
	table_outside_allow("static:x");
	assert_int_equal(ask("static:x", 0, "key", &value, &err), TABLE_MISCONFIGURED);
	buf_free(&value);
}

static void test_long(void **state)
{
	char *key = x_alloc(TABLE_VALUE_MAX + 10000);
	struct buf value = BUF(100);
	struct err err;

	memset(key, 'k', TABLE_VALUE_MAX + 9999);
	assert_int_equal(ask(ALLOWED, 0, key, &value, &err), TABLE_RETRY);
	key[TABLE_VALUE_MAX] = '\0';
	assert_int_equal(ask(ALLOWED, 0, key, &value, &err), TABLE_NOT_FOUND);
	buf_free(&value);
	x_free(&key);
}

static void *ask_often(void *wrong)
{
	for (int i = 0; i < 500; i++) {
		struct buf value = BUF(100);
		struct err err;
		bool other = i % 2;

		if (ask(ALLOWED, 0, other ? "other" : "Key", &value, &err) != TABLE_FOUND ||
			strcmp(buf_cstr(&value), other ? "x" : "value") != 0)
			atomic_fetch_add((atomic_int *)wrong, 1);
		buf_free(&value);
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[20];
	atomic_int wrong = 0;

	for (size_t i = 0; i < 20; i++)
		pthread_create(&threads[i], NULL, ask_often, &wrong);
	for (size_t i = 0; i < 20; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(wrong, 0);
}

static void test_gone(void **state)
{
	struct buf value = BUF(100);
	struct err err;

	table_outside_stop();
	assert_int_equal(ask(ALLOWED, 0, "Key", &value, &err), TABLE_RETRY);
	assert_string_equal(err.text, ALLOWED ": the helper outside the root directory is gone");
	buf_free(&value);
}

static int start(void **state)
{
	struct err err = {""};

	if (!table_outside_start(geteuid(), getegid(), &err))
		fail_msg("%s", err.text);
	table_outside_allow(ALLOWED);
	table_outside_allow("fail:x");
	table_outside_seal();
	return !table_outside_active();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_not_allowed),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_gone),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
