/* Files of lookup tables: made, changed, replaced while they are in use. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/test_table.h"
#include "base/mem.h"
#include "table/table_build.h"

static char *file_of(const char *spec)
{
	return x_asprintf("%s.%s", strchr(spec, ':') + 1, spec[0] == 'l' ? "lmdb" : "db");
}

static void test_build_and_ask(void **state)
{
	static const char *const types[] = {"hash", "btree", "lmdb"};

	for (size_t i = 0; i < 3; i++) {
		char *spec = test_spec(types[i], "simple");
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
}

static void test_replace_and_increment(void **state)
{
	char *spec = test_spec("lmdb", "grow");
	struct err err;
	struct table_builder *b;
	struct table *t;

	test_build(spec, "a", "1");
	b = test_begin(spec, (struct table_build_options){.incremental = true, .replace = true});
	test_put(b, "a", "2", BUILD_DUPLICATE);
	test_put(b, "b", "3", BUILD_ADDED);
	test_commit(b);
	b = test_begin(spec, (struct table_build_options){.incremental = true});
	assert_int_equal(table_build_remove(b, STR("b"), &err), TABLE_FOUND);
	assert_int_equal(table_build_remove(b, STR("b"), &err), TABLE_NOT_FOUND);
	test_put(b, "c", "4", BUILD_ADDED);
	table_build_abort(&b);
	t = test_table(spec, 0);
	test_lookup(t, "a", "2");
	test_lookup(t, "b", "3");
	test_lookup(t, "c", NULL);
	table_close(&t);
	test_build(spec, "only", "1");
	t = test_table(spec, 0);
	test_lookup(t, "a", NULL);
	table_close(&t);
	x_free(&spec);
}

/* As other programs store them. */
static void test_nul_at_the_end(void **state)
{
	char *spec = test_spec("lmdb", "nul");
	struct table_builder *b = test_begin(spec, (struct table_build_options){.with_nul = true});
	struct err err;
	struct table *t;

	test_put(b, "key", "value", BUILD_ADDED);
	test_commit(b);
	t = test_table(spec, TABLE_FOLD);
	test_lookup(t, "KEY", "value");
	table_close(&t);
	b = test_begin(spec, (struct table_build_options){.incremental = true});
	assert_int_equal(table_build_remove(b, STR("key"), &err), TABLE_FOUND);
	table_build_abort(&b);
	x_free(&spec);
}

/* A reader with the file open gets the new one within a moment. */
static void test_taken_up(void **state)
{
	char *spec = test_spec("hash", "fresh");
	struct table *t;

	test_build(spec, "k", "old");
	t = test_table(spec, 0);
	test_lookup(t, "k", "old");
	test_build(spec, "k", "new");
	usleep(1100000);
	test_lookup(t, "k", "new");
	table_close(&t);
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

	while (!a->stop) {
		struct buf value = BUF(100);
		struct err err;

		if (table_lookup(a->table, STR("k"), &value, &err) != TABLE_FOUND)
			a->failures++;
		buf_free(&value);
	}
	return NULL;
}

static void test_threads(void **state)
{
	char *spec = test_spec("lmdb", "threads");
	struct asking a = {0};
	pthread_t threads[4];

	test_build(spec, "k", "0");
	a.table = test_table(spec, 0);
	for (size_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, ask_all_the_time, &a);
	for (int i = 0; i < 12; i++) {
		test_build(spec, "k", "1");
		usleep(100000);
	}
	a.stop = true;
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(a.failures, 0);
	table_close(&a.table);
	x_free(&spec);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 0777;
}

static void test_modes(void **state)
{
	char *spec = test_spec("lmdb", "modes"), *path = file_of(spec);
	struct table_builder *b = test_begin(spec, (struct table_build_options){.mode = 0640});

	test_commit(b);
	assert_int_equal(mode_of(path), 0640);
	chmod(path, 0604);
	test_build(spec, "k", "v");
	assert_int_equal(mode_of(path), 0604);
	x_free(&path);
	x_free(&spec);
}

/* A link under the table's name is replaced, not followed. */
static void test_planted_link(void **state)
{
	char *victim = x_strdup(test_file("victim", "precious\n"));
	char *spec = test_spec("lmdb", "planted"), *path = file_of(spec);
	struct table *t;

	assert_int_equal(symlink(victim, path), 0);
	test_build(spec, "k", "v");
	t = test_source("texthash", "a b\n", 0);
	table_close(&t);
	assert_int_equal(mode_of(path), 0644);
	{
		struct stat st;

		assert_int_equal(lstat(path, &st), 0);
		assert_true(S_ISREG(st.st_mode));
		assert_int_equal(stat(victim, &st), 0);
		assert_int_equal(st.st_size, 9);
	}
	x_free(&path);
	x_free(&spec);
	x_free(&victim);
}

static size_t open_descriptors(void)
{
	size_t count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void test_failures(void **state)
{
	char *spec = x_asprintf("lmdb:%s", test_file("broken.lmdb", "this is no database, but some text\n"));
	size_t before = open_descriptors();
	struct err err;

	spec[strlen(spec) - 5] = '\0';
	for (int i = 0; i < 100; i++) {
		assert_null(table_open(spec, 0, &err));
		assert_null(table_open("lmdb:/nonexistent/x", 0, &err));
		assert_null(table_build_begin("lmdb:/nonexistent/x", &(struct table_build_options){0}, &err));
		assert_null(
			table_build_begin(spec, &(struct table_build_options){.incremental = true}, &err));
	}
	assert_int_equal(open_descriptors(), before);
	test_open_fails(spec, ": not an LMDB file; run postmap to build it again");
	test_open_fails(
		"lmdb:/nonexistent/x", "open database /nonexistent/x.lmdb: No such file or directory");
	assert_false(table_build_supported("regexp:x", &err));
	assert_string_equal(
		err.text, "unsupported dictionary type: regexp does not support bulk-mode creation.");
	assert_false(table_build_supported("nosuch:x", &err));
	assert_string_equal(err.text, "unsupported dictionary type: nosuch");
	assert_null(table_build_begin("static:x", &(struct table_build_options){0}, &err));
	x_free(&spec);
}

/* hash: and btree: take the LMDB file of the same source where theirs is missing or of Berkeley DB. */
static void test_names_of_other_files(void **state)
{
	static const char berkeley[] = "\0\0\0\0\0\0\0\0\0\0\0\0\x61\x15\x06\0 and more";
	char *hash = test_spec("hash", "shared"), *lmdb = test_spec("lmdb", "shared"), *path = file_of(hash);
	struct table *t;
	FILE *f;

	test_open_fails(hash, "/shared.db: No such file or directory");
	f = fopen(path, "w");
	assert_int_equal(fwrite(berkeley, sizeof(berkeley), 1, f), 1);
	fclose(f);
	test_open_fails(hash,
		"/shared.db: a Berkeley DB file; build it again from its source with postmap or, if "
		"it holds aliases, postalias");
	test_build(lmdb, "k", "of lmdb");
	t = test_table(hash, 0);
	test_lookup(t, "k", "of lmdb");
	table_close(&t);
	unlink(path);
	t = test_table(hash, 0);
	test_lookup(t, "k", "of lmdb");
	table_close(&t);
	test_build(hash, "k", "of hash");
	t = test_table(hash, 0);
	test_lookup(t, "k", "of hash");
	table_close(&t);
	x_free(&hash);
	x_free(&lmdb);
	x_free(&path);
}

static void test_long_key(void **state)
{
	char *spec = test_spec("lmdb", "long");
	struct table_builder *b = test_begin(spec, (struct table_build_options){0});
	char key[1000];
	struct err err;
	struct table *t;

	memset(key, 'k', sizeof(key));
	key[999] = '\0';
	test_put(b, key, "v", BUILD_UNFIT);
	test_put(b, "", "v", BUILD_UNFIT);
	key[511] = '\0';
	test_put(b, key, "v", BUILD_ADDED);
	key[511] = 'k';
	assert_int_equal(table_build_remove(b, str_c(key), &err), TABLE_NOT_FOUND);
	test_put(b, "k", "v", BUILD_ADDED);
	test_commit(b);
	t = test_table(spec, 0);
	test_lookup(t, key, NULL);
	table_close(&t);
	x_free(&spec);
}

static bool count_entry(void *arg, struct str key, struct str value)
{
	return ++*(size_t *)arg < 60000;
}

/* More than the smallest size of the file's map; as a list, too. */
static void test_many(void **state)
{
	char *spec = test_spec("lmdb", "many");
	struct table_builder *b = test_begin(spec, (struct table_build_options){.size = 100000 * 20});
	size_t count = 0;
	struct err err;
	struct table *t;

	for (int i = 0; i < 100000; i++) {
		char key[32];

		snprintf(key, sizeof(key), "user%d@example.com", i);
		test_put(b, key, key, BUILD_ADDED);
	}
	test_commit(b);
	t = test_table(spec, 0);
	test_lookup(t, "user99999@example.com", "user99999@example.com");
	assert_int_equal(table_each(t, count_entry, &count, &err), TABLE_FOUND);
	assert_int_equal(count, 60000);
	table_close(&t);
	x_free(&spec);
}

/* postmap -F keeps the content of files in base64. */
static void test_file_content(void **state)
{
	char *spec = test_spec("lmdb", "files");
	struct buf value = BUF(100);
	struct err err;
	struct table *t;

	test_build(spec, "k", "dGhpcy1pcy1maWxlMQ==");
	t = test_table(spec, TABLE_FILES);
	test_lookup(t, "k", "this-is-file1");
	table_close(&t);
	test_build(spec, "k", "not base64");
	t = test_table(spec, TABLE_FILES);
	assert_int_equal(table_lookup(t, STR("k"), &value, &err), TABLE_MISCONFIGURED);
	table_close(&t);
	buf_free(&value);
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
		cmocka_unit_test(test_replace_and_increment),
		cmocka_unit_test(test_nul_at_the_end),
		cmocka_unit_test(test_taken_up),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_planted_link),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_names_of_other_files),
		cmocka_unit_test(test_long_key),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_file_content),
	};

	return cmocka_run_group_tests(tests, NULL, remove_files);
}
