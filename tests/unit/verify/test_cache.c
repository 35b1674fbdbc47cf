/* Questions and outcomes over a real file. */
#include "base/clock.h"
#include "base/sys.h"
#include "verify/verify.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	char directory[40], map[80];
	const struct config *cfg;
	struct verify *v;
	struct pool *pool;
};

static void start(struct fixture *f, const char *name, const char *value)
{
	struct config_pair pairs[] = {{"address_verify_map", f->map}, {"data_directory", f->directory},
		{"mail_owner", "root"}, {name, value}};
	struct config_source source = {.main_text = "compatibility_level = 3.6\n",
		.directory = f->directory,
		.overrides = pairs,
		.override_count = 4,
		.program = "smtpd"};
	struct err err = {""};

	f->cfg = config_load(&source, NULL, NULL, &err);
	if (!f->cfg)
		fail_msg("%s", err.text);
	f->v = verify_open(f->cfg, clock_real(), &err);
	if (!f->v)
		fail_msg("%s", err.text);
}

static void stop(struct fixture *f)
{
	verify_close(&f->v);
	config_free(&f->cfg);
}

static void begin(struct fixture *f)
{
	snprintf(f->directory, sizeof(f->directory), "/tmp/test_verify.XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	snprintf(f->map, sizeof(f->map), "btree:%s/cache", f->directory);
	f->pool = pool_new(100);
}

/* What stands where the cache should be is none. */
static void begin_broken(struct fixture *f, char *path, size_t size)
{
	struct err err = {""};

	begin(f);
	snprintf(path, size, "%s/cache.db", f->directory);
	assert_true(sys_replace_file(
		path, STR("this is no database, and it is long enough to be seen as none"), 0600, &err));
}

static void end(struct fixture *f)
{
	static const char *const names[] = {
		"cache.db", "cache.db-lock", "verify_volatile.lmdb", "verify_volatile.lmdb-lock"};
	char path[100];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->directory, names[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(f->directory), 0);
	pool_free(&f->pool);
}

static void expect(
	struct fixture *f, const char *address, enum verify_status status, const char *text, bool probe)
{
	struct verify_answer answer;
	struct err err = {""};

	if (!verify_query(f->v, address, clock_real(), f->pool, &answer, &err))
		fail_msg("%s", err.text);
	assert_int_equal(answer.status, status);
	assert_string_equal(answer.text, text);
	assert_int_equal(answer.probe, probe);
}

static void update(struct fixture *f, const char *address, enum verify_status status, const char *text)
{
	struct err err = {""};

	assert_true(verify_update(f->v, address, status, text, &err));
}

static void test_life(void **state)
{
	struct fixture f;
	struct err err;

	begin(&f);
	start(&f, "myhostname", "x.example");
	expect(&f, "u@a.example", VERIFY_UNKNOWN, "", true);
	expect(&f, "u@a.example", VERIFY_UNKNOWN, "", false);
	assert_true(verify_forget(f.v, "u@a.example", &err));
	expect(&f, "u@a.example", VERIFY_UNKNOWN, "", true);
	update(&f, "u@a.example", VERIFY_UNDELIVERABLE, "550 no");
	expect(&f, "u@A.Example", VERIFY_UNDELIVERABLE, "550 no", false);
	expect(&f, "U@a.example", VERIFY_UNKNOWN, "", true);
	assert_true(verify_forget(f.v, "u@a.example", &err));
	expect(&f, "u@a.example", VERIFY_UNDELIVERABLE, "550 no", false);
	update(&f, "u@a.example", VERIFY_DELIVERABLE, "250 yes");
	update(&f, "u@a.example", VERIFY_UNDELIVERABLE, "550 no");
	expect(&f, "u@a.example", VERIFY_DELIVERABLE, "250 yes", false);
	stop(&f);
	start(&f, "myhostname", "x.example");
	expect(&f, "u@a.example", VERIFY_DELIVERABLE, "250 yes", false);
	stop(&f);
	end(&f);
}

static void test_long_address(void **state)
{
	struct verify_answer answer;
	struct fixture f;
	struct err err;
	char address[600];

	begin(&f);
	start(&f, "myhostname", "x.example");
	memset(address, 'x', sizeof(address) - 1);
	address[sizeof(address) - 1] = '\0';
	assert_false(verify_query(f.v, address, 0, f.pool, &answer, &err));
	stop(&f);
	end(&f);
}

static void test_volatile(void **state)
{
	struct fixture f;

	begin(&f);
	f.map[0] = '\0';
	start(&f, "myhostname", "x.example");
	update(&f, "u@a.example", VERIFY_DELIVERABLE, "250 yes");
	expect(&f, "u@a.example", VERIFY_DELIVERABLE, "250 yes", false);
	stop(&f);
	start(&f, "myhostname", "x.example");
	expect(&f, "u@a.example", VERIFY_UNKNOWN, "", true);
	stop(&f);
	end(&f);
}

static void test_sweep(void **state)
{
	struct verify_sweep result;
	struct fixture f;
	struct err err;
	char address[40];

	begin(&f);
	start(&f, "address_verify_negative_expire_time", "0");
	for (int i = 0; i < 1200; i++) {
		snprintf(address, sizeof(address), "u%d@a.example", i);
		update(&f, address, i % 3 == 0 ? VERIFY_UNDELIVERABLE : VERIFY_DELIVERABLE, "x");
	}
	assert_true(verify_sweep(f.v, &result, &err));
	assert_int_equal(result.dropped, 400);
	assert_int_equal(result.retained, 800);
	assert_true(verify_sweep(f.v, &result, &err));
	assert_int_equal(result.dropped, 0);
	assert_int_equal(result.retained, 800);
	stop(&f);
	end(&f);
}

static void test_trouble(void **state)
{
	struct verify_answer answer;
	struct fixture f;
	struct err err = {""};
	char path[100];

	begin_broken(&f, path, sizeof(path));
	start(&f, "myhostname", "x.example");
	assert_true(verify_trouble(f.v, &err));
	assert_non_null(strstr(err.text, path));
	assert_false(verify_query(f.v, "u@a.example", 0, f.pool, &answer, &err));
	stop(&f);
	snprintf(f.map, sizeof(f.map), "texthash:%s/cache", f.directory);
	start(&f, "myhostname", "x.example");
	assert_false(verify_query(f.v, "u@a.example", 0, f.pool, &answer, &err));
	assert_non_null(strstr(err.text, "address_verify_map"));
	stop(&f);
	end(&f);
}

/* Whoever made the probe could open the file before we tried again. */
static void test_outcome_after_trouble(void **state)
{
	struct fixture f;
	char path[100];

	begin_broken(&f, path, sizeof(path));
	start(&f, "myhostname", "x.example");
	assert_int_equal(unlink(path), 0);
	update(&f, "u@a.example", VERIFY_DELIVERABLE, "250 yes");
	expect(&f, "u@a.example", VERIFY_DELIVERABLE, "250 yes", false);
	stop(&f);
	end(&f);
}

struct asker {
	struct fixture *f;
	atomic_int *probes;
	pthread_t thread;
};

static void *ask_many(void *arg)
{
	struct asker *a = arg;
	struct pool *pool = pool_new(1000);
	struct verify_answer answer;
	struct err err;
	char address[40];

	for (int i = 0; i < 100; i++) {
		snprintf(address, sizeof(address), "u%d@a.example", i);
		if (verify_query(a->f->v, address, clock_real(), pool, &answer, &err) && answer.probe)
			atomic_fetch_add(a->probes, 1);
	}
	pool_free(&pool);
	return NULL;
}

/* Of many who ask at once, one makes the probe. */
static void test_threads(void **state)
{
	atomic_int probes = 0;
	struct asker askers[8];
	struct fixture f;

	begin(&f);
	start(&f, "myhostname", "x.example");
	for (int i = 0; i < 8; i++) {
		askers[i] = (struct asker){.f = &f, .probes = &probes};
		assert_int_equal(pthread_create(&askers[i].thread, NULL, ask_many, &askers[i]), 0);
	}
	for (int i = 0; i < 8; i++)
		pthread_join(askers[i].thread, NULL);
	assert_int_equal(probes, 100);
	stop(&f);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_long_address),
		cmocka_unit_test(test_volatile),
		cmocka_unit_test(test_sweep),
		cmocka_unit_test(test_trouble),
		cmocka_unit_test(test_outcome_after_trouble),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
