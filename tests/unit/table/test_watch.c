/* Tables whose files are changed while they are in use: written anew, replaced, removed, made unreadable. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/test_table.h"
#include "base/clock.h"
#include "base/mem.h"

#define PATIENCE (30 * NS_PER_SEC)

/* Whether one of two values is found. */
static bool has_either(struct table *t, const char *key, const char *wanted, const char *other)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct err err = {""};
	enum table_status status = table_lookup(t, str_c(key), &value, &err);
	bool same = status == TABLE_FOUND &&
		    (strcmp(buf_cstr(&value), wanted) == 0 || strcmp(buf_cstr(&value), other) == 0);

	buf_free(&value);
	return same;
}

static bool has_value(struct table *t, const char *key, const char *wanted)
{
	return has_either(t, key, wanted, wanted);
}

static void wait_for_value(struct table *t, const char *key, const char *wanted)
{
	int64_t until = clock_mono() + PATIENCE;

	while (!has_value(t, key, wanted)) {
		if (clock_mono() > until)
			fail_msg("%s: %s never becomes %s", table_spec(t), key, wanted);
		usleep(50000);
	}
}

/* Every type that reads text takes up what was written over it, and what was moved into its place. */
static void test_text_is_taken_up(void **state)
{
	static const struct {
		const char *type, *before, *after, *last;
	} rows[] = {
		{"texthash", "192.0.2.1 one\n", "192.0.2.1 two\n", "192.0.2.1 three\n"},
		{"cidr", "192.0.2.0/24 one\n", "192.0.2.0/24 two\n", "192.0.2.0/24 three\n"},
		{"regexp", "/^192/ one\n", "/^192/ two\n", "/^192/ three\n"},
		{"pcre", "/^192/ one\n", "/^192/ two\n", "/^192/ three\n"},
	};
	struct table *tables[4];

	for (size_t i = 0; i < 4; i++) {
		char *spec = x_asprintf("%s:%s", rows[i].type, test_file(rows[i].type, rows[i].before));

		tables[i] = test_table(spec, TABLE_FOLD);
		test_lookup(tables[i], "192.0.2.1", "one");
		x_free(&spec);
	}
	for (size_t i = 0; i < 4; i++)
		test_file(rows[i].type, rows[i].after);
	for (size_t i = 0; i < 4; i++)
		wait_for_value(tables[i], "192.0.2.1", "two");
	for (size_t i = 0; i < 4; i++) {
		char *path = x_strdup(test_file(rows[i].type, rows[i].after));
		char *beside = x_strdup(test_file("beside", rows[i].last));

		assert_int_equal(rename(beside, path), 0);
		x_free(&path);
		x_free(&beside);
	}
	for (size_t i = 0; i < 4; i++) {
		wait_for_value(tables[i], "192.0.2.1", "three");
		table_close(&tables[i]);
	}
}

static _Atomic int reported;

static void count_report(enum log_level level, const char *text)
{
	if (level == LOGL_WARNING && str_ends(str_c(text), STR("ignoring unrecognized request")))
		reported++;
}

static void test_warnings_of_the_new_file(void **state)
{
	char *path = x_strdup(test_file("warned", "/a/ one\n"));
	char *spec = x_asprintf("regexp:%s", path);
	struct table *t = test_table(spec, 0);

	table_report_to(count_report);
	assert_int_equal(test_warning_count(t), 0);
	test_file("warned", "what\n/a/ two\n");
	wait_for_value(t, "a", "two");
	table_report_to(NULL);
	assert_int_equal(reported, 1);
	assert_int_equal(test_warning_count(t), 1);
	table_close(&t);
	x_free(&spec);
	x_free(&path);
}

/* Nothing is lost with the file; a new one is taken up when it comes. */
static void test_file_that_goes_away(void **state)
{
	char *path = x_strdup(test_file("gone", "a one\n"));
	char *spec = x_asprintf("texthash:%s", path);
	struct table *t = test_table(spec, 0);
	struct buf which = BUF(1000);

	unlink(path);
	for (int i = 0; i < 15; i++) {
		test_lookup(t, "a", "one");
		usleep(100000);
	}
	assert_false(table_tick(&which));
	test_file("gone", "a two\n");
	wait_for_value(t, "a", "two");
	table_close(&t);
	buf_free(&which);
	x_free(&spec);
	x_free(&path);
}

/* A process that gave up root asks to be renewed, and says for which table. */
static void test_file_that_cannot_be_read(void **state)
{
	char *path = x_strdup(test_file("secret", "a one\n"));
	char *spec = x_asprintf("texthash:%s", path);
	struct table *t = test_table(spec, 0);
	struct buf which = BUF(1000);
	int64_t until = clock_mono() + PATIENCE;

	test_file("secret", "a two\n");
	chmod(path, 0);
	if (geteuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	while (!table_tick(&which) && clock_mono() < until) {
		test_lookup(t, "a", "one");
		usleep(50000);
	}
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	assert_string_equal(buf_cstr(&which), spec);
	table_close(&t);
	buf_clear(&which);
	assert_false(table_tick(&which));
	buf_free(&which);
	x_free(&spec);
	x_free(&path);
}

/* What came through a pipe cannot be read again. */
static void test_pipe(void **state)
{
	int ends[2];
	char *spec;
	struct table *t;

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "a one\n", 6), 6);
	close(ends[1]);
	spec = x_asprintf("texthash:/proc/self/fd/%d", ends[0]);
	t = test_table(spec, 0);
	for (int i = 0; i < 15; i++) {
		test_lookup(t, "a", "one");
		usleep(100000);
	}
	table_close(&t);
	close(ends[0]);
	x_free(&spec);
}

struct asking {
	struct table *table;
	_Atomic bool stop;
	_Atomic int failures;
};

static void *ask_all_the_time(void *arg)
{
	struct asking *a = arg;

	while (!a->stop)
		a->failures += !has_either(a->table, "k", "one", "two");
	return NULL;
}

static void test_threads(void **state)
{
	char *path = x_strdup(test_file("threads", "/k/ one\n"));
	char *spec = x_asprintf("regexp:%s", path), *beside;
	struct asking a = {.table = test_table(spec, 0)};
	pthread_t threads[4];

	for (size_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, ask_all_the_time, &a);
	for (int round = 0; round < 2; round++) {
		beside = x_strdup(test_file("beside", round ? "/k/ one\n" : "/k/ two\n"));
		assert_int_equal(rename(beside, path), 0);
		wait_for_value(a.table, "k", round ? "one" : "two");
		x_free(&beside);
	}
	a.stop = true;
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(a.failures, 0);
	table_close(&a.table);
	x_free(&spec);
	x_free(&path);
}

static int remove_files(void **state)
{
	test_files_remove();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_is_taken_up),
		cmocka_unit_test(test_warnings_of_the_new_file),
		cmocka_unit_test(test_file_that_goes_away),
		cmocka_unit_test(test_file_that_cannot_be_read),
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, remove_files);
}
