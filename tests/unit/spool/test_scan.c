/* Reading a queue directory that fails in the middle: the linker puts this readdir in the place of the
 * library's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spool_fixture.h"
#include <dirent.h>
#include <errno.h>
#include <string.h>

#define MESSAGES 20

/* How many entries may still be read before readdir fails with this error; negative: it never does. */
static int entries_left = -1, failure;

struct dirent *__real_readdir64(DIR *dir);
struct dirent *__wrap_readdir64(DIR *dir);

struct dirent *__wrap_readdir64(DIR *dir)
{
	if (entries_left == 0) {
		errno = failure;
		return NULL;
	}
	if (entries_left > 0)
		entries_left--;
	return __real_readdir64(dir);
}

/* Leaves an error behind, as the calls of a real one may. */
static bool count(void *arg, enum spool_queue q, const struct queue_id *id)
{
	++*(size_t *)arg;
	errno = EIO;
	return true;
}

static void fill(struct fixture *f)
{
	for (int i = 0; i < MESSAGES; i++)
		fixture_write(f, QUEUE_HOLD, STR("Subject: x\r\n\r\ny\r\n"));
}

static void test_failure_is_no_end(void **state)
{
	static const int errors[] = {EIO, ESTALE, ENOMEM};
	struct fixture *f = *state;

	fill(f);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct err err = {""};
		size_t found = 0;

		entries_left = MESSAGES / 2;
		failure = errors[i];
		assert_false(spool_scan(f->spool, QUEUE_HOLD, count, &found, &err));
		assert_non_null(strstr(err.text, "read queue directory hold"));
		assert_non_null(strstr(err.text, strerror(errors[i])));
		assert_true(found < MESSAGES);
	}
}

static void test_end_is_no_failure(void **state)
{
	struct fixture *f = *state;
	struct err err = {""};
	size_t found = 0;

	entries_left = -1;
	fill(f);
	assert_true(spool_scan(f->spool, QUEUE_HOLD, count, &found, &err));
	assert_int_equal(found, MESSAGES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_failure_is_no_end, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_end_is_no_failure, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
