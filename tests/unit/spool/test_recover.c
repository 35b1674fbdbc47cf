/* Every state that INTERNALS.md lists, and what recovery makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "spool/spool_private.h"
#include "spool_fixture.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct queue_id made_up = {"64200000001"};

static int make_file(struct fixture *f, const char *queue, const char *bytes, size_t n)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/%s/%s", f->directory, queue, made_up.text);
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	return fd;
}

static struct spool_recovery recover(struct fixture *f)
{
	struct spool_recovery r;

	assert_true(spool_recover(f->spool, &r, NULL));
	return r;
}

static enum spool_status status_of(struct fixture *f, enum spool_queue q, const struct queue_id *id)
{
	struct envelope *e;

	return spool_load(f->spool, q, id, f->pool, &e, NULL);
}

static void test_leftovers(void **state)
{
	static const char zeros[5000];
	static const char *const queues[] = {"incoming", "hold", "maildrop"};
	static const size_t sizes[] = {0, 1, 127, 128, 5000};
	struct fixture *f = *state;
	enum spool_queue q;

	for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++) {
		for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
			struct spool_recovery r;

			close(make_file(f, queues[i], zeros, sizes[j]));
			assert_true(spool_find(f->spool, &made_up, &q));
			assert_int_equal(status_of(f, q, &made_up), SPOOL_UNFINISHED);
			r = recover(f);
			assert_int_equal(r.leftovers, 1);
			assert_int_equal(r.messages + r.damaged, 0);
			assert_false(spool_find(f->spool, &made_up, &q));
		}
	}
}

static void test_writer_is_left_alone(void **state)
{
	struct fixture *f = *state;
	char *text = x_alloc(200000);
	struct spool_writer *w = spool_create(f->spool, QUEUE_INCOMING, NULL);
	struct spool_recipient to = {.address = "user@example.com"};
	struct envelope e = {.sender = "", .recipients = &to, .recipient_count = 1};
	struct spool_recovery r;

	memset(text, 'a', 200000);
	assert_true(spool_content(w, (struct str){text, 200000}));
	r = recover(f);
	assert_int_equal(r.leftovers + r.damaged + r.messages, 0);
	assert_true(spool_commit(&w, &e, NULL));
	assert_int_equal(status_of(f, QUEUE_INCOMING, &e.id), SPOOL_OK);
	assert_int_equal(recover(f).messages, 1);
	x_free(&text);
}

static void test_young_leftovers_stay(void **state)
{
	struct fixture *f = *state;

	f->options.stale_before_us = clock_real() - 60 * US_PER_SEC;
	fixture_reopen(f);
	close(make_file(f, "incoming", "", 0));
	assert_int_equal(recover(f).leftovers, 0);
	f->options.stale_before_us = clock_real() + US_PER_SEC;
	fixture_reopen(f);
	assert_int_equal(recover(f).leftovers, 1);
}

/* Short of what the header says: it might be an acknowledged one that lost its end. */
static void test_short_files_are_kept_aside(void **state)
{
	struct fixture *f = *state;
	struct queue_id id = fixture_write(f, QUEUE_HOLD, STR("content\r\n"));
	int fd = fixture_open(f, QUEUE_HOLD, &id);
	struct spool_recovery r;
	enum spool_queue q;

	assert_int_equal(ftruncate(fd, SPOOL_HEADER_SIZE + 3), 0);
	close(fd);
	assert_int_equal(status_of(f, QUEUE_HOLD, &id), SPOOL_UNFINISHED);
	r = recover(f);
	assert_int_equal(r.damaged, 1);
	assert_int_equal(r.leftovers + r.messages, 0);
	assert_true(spool_find(f->spool, &id, &q));
	assert_int_equal(q, QUEUE_CORRUPT);
}

static void test_damage(void **state)
{
	struct fixture *f = *state;
	char noise[300];

	memset(noise, 'n', sizeof(noise));
	close(make_file(f, "incoming", noise, sizeof(noise)));
	assert_int_equal(status_of(f, QUEUE_INCOMING, &made_up), SPOOL_CORRUPT);
	assert_int_equal(recover(f).damaged, 1);
	assert_int_equal(status_of(f, QUEUE_INCOMING, &made_up), SPOOL_GONE);
	assert_int_equal(recover(f).damaged, 0);
}

static void damage_content(struct fixture *f, enum spool_queue q, const struct queue_id *id)
{
	int fd = fixture_open(f, q, id);

	assert_int_equal(pwrite(fd, "X", 1, SPOOL_HEADER_SIZE), 1);
	close(fd);
}

/* After a boot the parts of a file written by one call are checked against each other; without one they
 * cannot have come apart. */
static void test_torn_by_power_loss(void **state)
{
	struct fixture *f = *state;
	struct queue_id held = fixture_write(f, QUEUE_HOLD, STR("content\r\n"));
	struct queue_id good = fixture_write(f, QUEUE_HOLD, STR("content\r\n"));
	struct queue_id late = fixture_write(f, QUEUE_DEFERRED, STR("content\r\n"));

	assert_int_equal(recover(f).messages, 3);
	damage_content(f, QUEUE_HOLD, &held);
	damage_content(f, QUEUE_DEFERRED, &late);
	assert_int_equal(recover(f).damaged, 0);
	memset(f->spool->shared->boot, 'x', sizeof(f->spool->shared->boot));
	assert_int_equal(recover(f).damaged, 1);
	assert_int_equal(status_of(f, QUEUE_HOLD, &held), SPOOL_GONE);
	assert_int_equal(status_of(f, QUEUE_HOLD, &good), SPOOL_OK);
	assert_int_equal(status_of(f, QUEUE_DEFERRED, &late), SPOOL_OK);
}

static void test_active_goes_to_incoming(void **state)
{
	struct fixture *f = *state;
	struct queue_id id = fixture_write(f, QUEUE_ACTIVE, STR("content\r\n"));
	enum spool_queue q;

	assert_int_equal(recover(f).messages, 1);
	assert_true(spool_find(f->spool, &id, &q));
	assert_int_equal(q, QUEUE_INCOMING);
}

static void test_levels_changed(void **state)
{
	struct fixture *f = *state;
	struct queue_id id = fixture_write(f, QUEUE_DEFERRED, STR("content\r\n"));

	for (int depth = 2; depth >= 0; depth--) {
		f->options.hash_queue_depth = depth;
		fixture_reopen(f);
		assert_int_equal(recover(f).messages, 1);
		assert_int_equal(status_of(f, QUEUE_DEFERRED, &id), SPOOL_OK);
	}
}

static bool count(void *arg, enum spool_queue q, const struct queue_id *id)
{
	++*(size_t *)arg;
	return true;
}

static void test_names_that_are_no_ids(void **state)
{
	static const char *const names[] = {
		"A", "#tmp", "a.b", "slot.999x", "0123456789012345678901234567890", "ab\ncd ef"};
	struct fixture *f = *state;
	char path[200];
	size_t n = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/incoming/%s", f->directory, names[i]);
		close(open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	}
	snprintf(path, sizeof(path), "%s/incoming/ABCDEFG", f->directory);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(spool_scan(f->spool, QUEUE_INCOMING, count, &n, NULL));
	assert_int_equal(n, 1); /* the directory's name is one; it is no message */
	assert_int_equal(recover(f).messages, 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/incoming/%s", f->directory, names[i]);
		assert_int_equal(access(path, F_OK), 0);
	}
}

struct remover {
	struct spool *spool;
	size_t seen;
};

static bool remove_seen(void *arg, enum spool_queue q, const struct queue_id *id)
{
	struct remover *r = arg;

	r->seen++;
	return spool_remove(r->spool, q, id, NULL);
}

static void test_scan_while_files_go(void **state)
{
	struct fixture *f = *state;
	struct remover r = {f->spool, 0};
	size_t left = 0;

	for (int i = 0; i < 3000; i++) {
		char path[200];

		snprintf(path, sizeof(path), "%s/hold/642%08X", f->directory, (unsigned)i);
		close(open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	}
	assert_true(spool_scan(f->spool, QUEUE_HOLD, remove_seen, &r, NULL));
	assert_int_equal(r.seen, 3000);
	assert_true(spool_scan(f->spool, QUEUE_HOLD, count, &left, NULL));
	assert_int_equal(left, 0);
}

static void test_ids_never_repeat(void **state)
{
	struct fixture *f = *state;
	uint64_t last = 0, ahead;

	for (int i = 0; i < 10000; i++) {
		uint64_t next = spool_sequence_next(f->spool);

		assert_true(next > last);
		last = next;
	}
	ahead = last + 3600 * (uint64_t)US_PER_SEC; /* the clock was set back */
	atomic_store(&f->spool->shared->last, ahead);
	fixture_reopen(f);
	assert_int_equal(spool_sequence_next(f->spool), ahead + QUEUE_ID_STEP);
	atomic_store(&f->spool->shared->last, UINT64_MAX); /* damaged */
	assert_true(spool_sequence_next(f->spool) < ahead);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_leftovers, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_writer_is_left_alone, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_young_leftovers_stay, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			test_short_files_are_kept_aside, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_damage, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_torn_by_power_loss, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			test_active_goes_to_incoming, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_levels_changed, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_names_that_are_no_ids, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_scan_while_files_go, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_ids_never_repeat, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
