/* cdb: files made, changed, listed, damaged, replaced while they are in use. */
#include <cdb.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/test_table.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/sys.h"

static void test_build_and_ask(void **state)
{
	char *spec = test_spec("cdb", "simple");
	struct table_builder *b = test_begin(spec, (struct table_build_options){0});
	struct table *t;

	test_put(b, "k", "v", BUILD_ADDED);
	test_put(b, "k", "other", BUILD_DUPLICATE);
	test_put(b, "K2", "v2", BUILD_ADDED);
	test_commit(b);
	t = test_table(spec, TABLE_FOLD);
	test_lookup(t, "K", "v");
	test_lookup(t, "k2", NULL);
	test_lookup(t, "", NULL);
	table_close(&t);
	t = test_table(spec, 0);
	test_lookup(t, "K2", "v2");
	test_lookup(t, "K", NULL);
	table_close(&t);
	x_free(&spec);
}

static bool join_entry(void *arg, struct str key, struct str value)
{
	buf_printf(arg, STR_FMT "=" STR_FMT ";", STR_ARG(key), STR_ARG(value));
	return true;
}

static void check_list(const char *spec, const char *wanted)
{
	struct table *t = test_table(spec, 0);
	struct buf list = BUF(1000);
	struct err err = {""};

	assert_int_equal(table_each(t, join_entry, &list, &err), TABLE_FOUND);
	assert_string_equal(buf_cstr(&list), wanted);
	buf_free(&list);
	table_close(&t);
}

/* The old file is the beginning of the new one, with and without NUL bytes at the ends. */
static void test_change(void **state)
{
	char *spec = test_spec("cdb", "grow");
	struct err err = {""};
	struct table_builder *b;

	b = test_begin(spec, (struct table_build_options){.with_nul = true, .incremental = true});
	test_put(b, "a", "1", BUILD_ADDED);
	test_put(b, "x", "", BUILD_ADDED);
	test_commit(b);
	check_list(spec, "a=1;x=;");
	b = test_begin(spec, (struct table_build_options){.incremental = true, .replace = true});
	test_put(b, "a", "2", BUILD_DUPLICATE);
	test_put(b, "b", "3", BUILD_ADDED);
	assert_int_equal(table_build_remove(b, STR("x"), &err), TABLE_FOUND);
	assert_int_equal(table_build_remove(b, STR("x"), &err), TABLE_NOT_FOUND);
	test_commit(b);
	check_list(spec, "a=2;b=3;");
	b = test_begin(spec, (struct table_build_options){.incremental = true});
	test_put(b, "c", "4", BUILD_ADDED);
	table_build_abort(&b);
	check_list(spec, "a=2;b=3;");
	test_build(spec, "only", "1");
	check_list(spec, "only=1;");
	x_free(&spec);
}

/* What cdb(1) writes, and what it writes with a NUL byte at each end. */
static void test_files_of_others(void **state)
{
	char *path = x_strdup(test_file("others.cdb", "")), *spec = test_spec("cdb", "others");
	int fd = open(path, O_RDWR);
	struct cdb_make make;
	struct table *t;

	assert_int_equal(cdb_make_start(&make, fd), 0);
	assert_int_equal(cdb_make_add(&make, "plain", 5, "one", 3), 0);
	assert_int_equal(cdb_make_add(&make, "plain", 5, "second", 6), 0);
	assert_int_equal(cdb_make_add(&make, "nul", 4, "two", 4), 0);
	assert_int_equal(cdb_make_finish(&make), 0);
	sys_close(&fd);
	t = test_table(spec, 0);
	test_lookup(t, "plain", "one");
	test_lookup(t, "nul", "two");
	table_close(&t);
	x_free(&path);
	x_free(&spec);
}

static void test_failures(void **state)
{
	char *path = x_strdup(test_file("bad.cdb", "this is no database, but some text\n"));
	char *spec = test_spec("cdb", "bad");
	struct table_build_options change = {.incremental = true};
	struct err err = {""};

	test_open_fails(spec, "/bad.cdb: not a CDB file; run postmap to build it again");
	test_open_fails("cdb:/nonexistent/x", "open database /nonexistent/x.cdb: No such file or directory");
	assert_null(table_build_begin("cdb:/nonexistent/x", &change, &err));
	assert_null(table_build_begin(spec, &change, &err));
	assert_true(str_ends(str_c(err.text), STR("not a CDB file; run postmap to build it again")));
	test_build(spec, "k", "v");
	check_list(spec, "k=v;");
	x_free(&spec);
	x_free(&path);
}

/* Tables of positions that lead out of the file: an error or "not found", nothing else. */
static void test_damaged(void **state)
{
	char *spec = test_spec("cdb", "damaged"), *path = x_asprintf("%s.cdb", strchr(spec, ':') + 1);
	struct buf value = BUF(100);
	struct err err = {""};

	for (off_t at = 0; at < 2100; at += 7) {
		int fd;
		struct table *t;

		test_build(spec, "k", "v");
		fd = open(path, O_RDWR);
		assert_true(sys_pwrite_all(fd, "\xff\xff\xff\x7f", 4, at));
		sys_close(&fd);
		t = test_table(spec, 0);
		assert_true(table_lookup(t, STR("k"), &value, &err) != TABLE_MISCONFIGURED);
		buf_clear(&value);
		table_each(t, join_entry, &value, &err);
		buf_clear(&value);
		table_close(&t);
	}
	buf_free(&value);
	x_free(&path);
	x_free(&spec);
}

static void test_file_content(void **state)
{
	char *spec = test_spec("cdb", "files");
	struct table_builder *b = test_begin(spec, (struct table_build_options){0});
	struct buf value = BUF(100);
	struct err err = {""};
	struct table *t;

	test_put(b, "good", "dGhpcy1pcy1maWxlMQ==", BUILD_ADDED);
	test_put(b, "bad", "not base64", BUILD_ADDED);
	test_commit(b);
	t = test_table(spec, TABLE_FILES);
	test_lookup(t, "good", "this-is-file1");
	assert_int_equal(table_lookup(t, STR("bad"), &value, &err), TABLE_MISCONFIGURED);
	assert_string_equal(err.text, "the value is not base64");
	buf_free(&value);
	table_close(&t);
	x_free(&spec);
}

struct asking {
	struct table *table;
	_Atomic bool stop, changed;
	_Atomic int failures;
};

static void *ask_all_the_time(void *arg)
{
	struct asking *a = arg;

	while (!a->stop) {
		struct buf value = BUF(100);
		struct err err;

		if (table_lookup(a->table, STR("k"), &value, &err) != TABLE_FOUND)
			a->failures++;
		else if (strcmp(buf_cstr(&value), "new") == 0)
			a->changed = true;
		buf_free(&value);
	}
	return NULL;
}

static void test_threads_and_a_new_file(void **state)
{
	char *spec = test_spec("cdb", "threads");
	struct asking a = {0};
	int64_t until = clock_mono() + 30 * NS_PER_SEC;
	pthread_t threads[4];

	test_build(spec, "k", "old");
	a.table = test_table(spec, 0);
	for (size_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, ask_all_the_time, &a);
	test_build(spec, "k", "new");
	while (!a.changed && clock_mono() < until)
		usleep(10000);
	a.stop = true;
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_true(a.changed);
	assert_int_equal(a.failures, 0);
	table_close(&a.table);
	x_free(&spec);
}

static int remove_files(void **state)
{
	test_files_remove();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_build_and_ask),
		cmocka_unit_test(test_change),
		cmocka_unit_test(test_files_of_others),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_file_content),
		cmocka_unit_test(test_threads_and_a_new_file),
	};

	return cmocka_run_group_tests(tests, NULL, remove_files);
}
