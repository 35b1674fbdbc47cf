/* Caches that processes share: what is stored is found, and storing keeps them small. */
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/test_config.h"
#include "../support/test_table.h"
#include "base/mem.h"
#include "table/cache_file.h"

#define ENTRIES 300

/* A cache in a directory of ours. */
static struct cache_file *make(const char *name, size_t value_max)
{
	struct config cfg = test_config();
	struct err err = {""};
	struct cache_file *c;
	char *spec = test_spec("lmdb", name), *path = cache_file_path("x", spec, "lmdb", &err);

	cfg.mail_owner = getpwuid(geteuid())->pw_name;
	assert_non_null(path);
	c = cache_file_new(&cfg, "test cache", path, value_max, &err);
	assert_true(cache_file_ready(c, &err));
	x_free(&path);
	x_free(&spec);
	return c;
}

static bool is_old(void *arg, struct str value)
{
	return str_is(value, "old");
}

static bool is_no_entry(void *arg, struct str value)
{
	*(size_t *)arg += 1;
	return false;
}

static size_t count(struct cache_file *c)
{
	struct err err = {""};
	size_t n = 0;

	assert_true(cache_file_sweep(c, is_no_entry, &n, &err));
	return n;
}

static void store(struct cache_file *c, int number, const char *value, size_t most)
{
	const struct cache_care care = {is_old, NULL, most};
	struct err err = {""};
	char key[32];

	snprintf(key, sizeof(key), "%d", number * 7919 % 10007);
	assert_true(cache_file_store(c, str_c(key), str_c(value), &care, &err));
}

static void test_stored_is_found(void **state)
{
	const struct cache_care care = {is_old, NULL, 100};
	struct cache_file *c = make("found", 10);
	struct buf value = BUF(10);
	struct err err = {""};

	assert_int_equal(cache_file_get(c, STR("k"), &value, &err), CACHE_ABSENT);
	assert_true(cache_file_store(c, STR("k"), STR("one"), &care, &err));
	assert_true(cache_file_store(c, STR("k"), STR("two"), &care, &err));
	assert_int_equal(cache_file_get(c, STR("k"), &value, &err), CACHE_FOUND);
	assert_string_equal(buf_cstr(&value), "two");
	assert_false(cache_file_store(c, STR("k"), STR("longer than it may be"), &care, &err));
	assert_false(cache_file_store(c, STR(""), STR("x"), &care, &err));
	assert_int_equal(count(c), 1);
	buf_free(&value);
	cache_file_free(&c);
}

static void test_never_more_than_most(void **state)
{
	struct cache_file *c = make("most", 10);

	for (int i = 0; i < ENTRIES; i++)
		store(c, i, "new", 20);
	assert_int_equal(count(c), 20);
	cache_file_free(&c);
}

static void test_old_entries_go(void **state)
{
	struct cache_file *c = make("old", 10);
	struct buf value = BUF(10);
	struct err err = {""};

	for (int i = 0; i < ENTRIES; i++)
		store(c, i, "old", 1000);
	for (int i = 0; i < ENTRIES; i++)
		store(c, ENTRIES + i, "new", 1000);
	assert_in_range(count(c), ENTRIES, ENTRIES + ENTRIES / 4);
	assert_int_equal(cache_file_get(c, STR("7919"), &value, &err), CACHE_ABSENT);
	buf_free(&value);
	cache_file_free(&c);
}

static void test_names(void **state)
{
	static const struct {
		const char *map, *path;
	} cases[] = {{"btree:/d/x", "/d/x.db"}, {" proxy:hash:/d/x ", "/d/x.db"}, {"lmdb:/d/x", "/d/x.lmdb"},
		{"cdb:/d/x", NULL}, {"/d/x", "/d/x.db"}, {"", NULL}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = {""};
		char *path = cache_file_path("parameter", cases[i].map, "btree", &err);

		assert_int_equal(path != NULL, cases[i].path != NULL);
		if (path)
			assert_string_equal(path, cases[i].path);
		x_free(&path);
	}
}

static void test_directories_of_others(void **state)
{
	struct config cfg = test_config();
	char *path = x_strdup("/proc/cache.lmdb");

	cfg.mail_owner = "no such user";
	cfg.data_directory = "/d";
	assert_false(cache_file_redirect(&cfg, &path));
	assert_string_equal(path, "/proc/cache.lmdb");
	cfg.mail_owner = "nobody";
	assert_true(cache_file_redirect(&cfg, &path));
	assert_string_equal(path, "/d/cache.lmdb");
	assert_false(cache_file_redirect(&cfg, &path));
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
		cmocka_unit_test(test_stored_is_found),
		cmocka_unit_test(test_never_more_than_most),
		cmocka_unit_test(test_old_entries_go),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_directories_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, remove_files);
}
