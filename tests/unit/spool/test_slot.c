/* Messages in slots: reuse, readers that are not disturbed, a table that lies, and threads at it together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spool/spool_private.h"
#include "spool_fixture.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char *slot_path(struct fixture *f, int slot)
{
	return x_asprintf("%s/incoming/slot.%03d", f->directory, slot);
}

static ino_t slot_inode(struct fixture *f, int slot)
{
	char *path = slot_path(f, slot);
	struct stat st;
	int result = stat(path, &st);

	x_free(&path);
	return result == 0 ? st.st_ino : 0;
}

static bool reads_as(struct fixture *f, enum spool_queue q, const struct queue_id *id, const char *wanted)
{
	struct spool_reader *r;
	struct str piece = {"", 0}, end = {"", 0};
	bool same;

	if (spool_open_content(f->spool, q, id, &r, NULL) != SPOOL_OK)
		return false;
	same = spool_read_content(r, &piece, NULL) == SPOOL_OK && str_is(piece, wanted) &&
	       spool_read_content(r, &end, NULL) == SPOOL_OK && end.n == 0;
	spool_reader_free(&r);
	return same;
}

static void test_reuse(void **state)
{
	struct fixture *f = *state;
	struct queue_id one = fixture_write(f, QUEUE_INCOMING, STR("a long first message\r\n")), two;
	struct envelope *e;
	ino_t inode = slot_inode(f, 0);

	assert_true(inode != 0);
	assert_true(spool_remove(f->spool, QUEUE_INCOMING, &one, NULL));
	assert_int_equal(spool_load(f->spool, QUEUE_INCOMING, &one, f->pool, &e, NULL), SPOOL_GONE);
	two = fixture_write(f, QUEUE_INCOMING, STR("two\r\n"));
	assert_int_equal(slot_inode(f, 0), inode);
	assert_true(reads_as(f, QUEUE_INCOMING, &two, "two\r\n"));
	assert_int_equal(spool_load(f->spool, QUEUE_INCOMING, &one, f->pool, &e, NULL), SPOOL_GONE);
	assert_int_equal(spool_load(f->spool, QUEUE_INCOMING, &two, f->pool, &e, NULL), SPOOL_OK);
}

/* Records of the message before, in the same place of the file, are not this one's. */
static void test_old_records_do_not_count(void **state)
{
	struct fixture *f = *state;
	struct spool_update done[] = {
		{0, RECIPIENT_DONE, NULL}, {1, RECIPIENT_DONE, NULL}, {2, RECIPIENT_DONE, NULL}};
	struct queue_id one = fixture_write(f, QUEUE_INCOMING, STR("same\r\n")), two;
	struct envelope *e;

	assert_true(spool_record(f->spool, QUEUE_INCOMING, &one, done, 3, true, NULL));
	assert_true(spool_remove(f->spool, QUEUE_INCOMING, &one, NULL));
	two = fixture_write(f, QUEUE_INCOMING, STR("same\r\n"));
	assert_true(spool_record(f->spool, QUEUE_INCOMING, &two, done, 1, true, NULL));
	assert_int_equal(spool_load(f->spool, QUEUE_INCOMING, &two, f->pool, &e, NULL), SPOOL_OK);
	assert_int_equal(e->recipients[0].state, RECIPIENT_DONE);
	assert_int_equal(e->recipients[1].state, RECIPIENT_PENDING);
	assert_int_equal(e->recipients[2].state, RECIPIENT_PENDING);
}

static void test_reader_keeps_what_it_reads(void **state)
{
	struct fixture *f = *state;
	struct queue_id one = fixture_write(f, QUEUE_INCOMING, STR("secret one\r\n")), two;
	ino_t inode = slot_inode(f, 0);
	struct spool_reader *r;
	struct str piece;

	assert_int_equal(spool_open_content(f->spool, QUEUE_INCOMING, &one, &r, NULL), SPOOL_OK);
	assert_true(spool_remove(f->spool, QUEUE_INCOMING, &one, NULL));
	two = fixture_write(f, QUEUE_INCOMING, STR("secret two\r\n"));
	assert_true(slot_inode(f, 0) != inode);
	assert_int_equal(spool_read_content(r, &piece, NULL), SPOOL_OK);
	assert_true(str_is(piece, "secret one\r\n"));
	spool_reader_free(&r);
	assert_true(reads_as(f, QUEUE_INCOMING, &two, "secret two\r\n"));
}

static void test_move_out(void **state)
{
	struct fixture *f = *state;
	struct queue_id one = fixture_write(f, QUEUE_INCOMING, STR("one\r\n")), two;
	enum spool_queue q;

	assert_true(spool_move(f->spool, QUEUE_INCOMING, QUEUE_DEFERRED, &one, NULL));
	assert_int_equal(slot_inode(f, 0), 0);
	two = fixture_write(f, QUEUE_INCOMING, STR("two\r\n"));
	assert_true(reads_as(f, QUEUE_DEFERRED, &one, "one\r\n"));
	assert_true(reads_as(f, QUEUE_INCOMING, &two, "two\r\n"));
	assert_true(spool_find(f->spool, &one, &q));
	assert_int_equal(q, QUEUE_DEFERRED);
	assert_true(spool_move(f->spool, QUEUE_DEFERRED, QUEUE_INCOMING, &one, NULL));
	assert_true(reads_as(f, QUEUE_INCOMING, &one, "one\r\n"));
	assert_true(spool_remove(f->spool, QUEUE_INCOMING, &one, NULL));
	assert_false(spool_find(f->spool, &one, &q));
}

/* All of these leave the mail where it is, to be found; and no writer takes a slot that is in use. */
static void test_table_lies(void **state)
{
	static const uint64_t lies[] = {0, 1, 0x1234567890, UINT64_MAX};
	struct fixture *f = *state;
	struct queue_id one = fixture_write(f, QUEUE_INCOMING, STR("one\r\n"));

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct queue_id other;
		enum spool_queue q;

		atomic_store(&f->spool->shared->slots[0], lies[i]);
		other = fixture_write(f, QUEUE_INCOMING, STR("other\r\n"));
		atomic_store(&f->spool->shared->slots[0], lies[i]);
		assert_true(spool_find(f->spool, &one, &q));
		assert_true(reads_as(f, QUEUE_INCOMING, &one, "one\r\n"));
		assert_true(reads_as(f, QUEUE_INCOMING, &other, "other\r\n"));
	}
	for (int slot = 0; slot < SPOOL_SLOTS; slot++)
		atomic_store(&f->spool->shared->slots[slot], (uint64_t)queue_id_number(&one) << 1);
	assert_true(reads_as(f, QUEUE_INCOMING, &one, "one\r\n"));
}

static void test_hints_lie(void **state)
{
	static const uint16_t lies[] = {0, 1, SPOOL_SLOTS - 1, SPOOL_SLOTS, UINT16_MAX};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct queue_id id;

		atomic_store(&f->spool->shared->first_free, lies[i]);
		id = fixture_write(f, QUEUE_INCOMING, STR("one\r\n"));
		for (int home = 0; home < SPOOL_SLOT_HOMES; home++)
			atomic_store(&f->spool->shared->homes[home], lies[i]);
		assert_true(reads_as(f, QUEUE_INCOMING, &id, "one\r\n"));
		assert_true(spool_remove(f->spool, QUEUE_INCOMING, &id, NULL));
	}
}

/* The first slots keep what room they got, the thousands behind them only a small message's. */
static void test_room_that_is_kept(void **state)
{
	static const struct {
		int slot;
		size_t size;
		bool kept;
	} rows[] = {{0, 60000, true}, {SPOOL_SLOTS_LARGE, 60000, false}, {SPOOL_SLOTS_LARGE, 12000, true}};
	struct fixture *f = *state;
	char text[60000];

	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct queue_id id;

		atomic_store(&f->spool->shared->first_free, (uint16_t)rows[i].slot);
		id = fixture_write(f, QUEUE_INCOMING, (struct str){text, rows[i].size});
		assert_true(slot_inode(f, rows[i].slot) != 0);
		assert_true(spool_remove(f->spool, QUEUE_INCOMING, &id, NULL));
		assert_int_equal(slot_inode(f, rows[i].slot) != 0, rows[i].kept);
	}
}

/* What a process kept open is looked at before it is used: others moved, removed or filled the slot since. */
static void test_kept_descriptors(void **state)
{
	struct fixture *f = *state, other = *f;
	struct queue_id id, moved, there;
	char *path = slot_path(f, 0);

	other.spool = spool_open(&f->options, NULL);
	assert_non_null(other.spool);
	id = fixture_write(f, QUEUE_INCOMING, STR("one\r\n"));
	assert_true(spool_remove(f->spool, QUEUE_INCOMING, &id, NULL));
	assert_true(atomic_load(&f->spool->kept[0]) >= 0);

	moved = fixture_write(&other, QUEUE_INCOMING, STR("moved\r\n"));
	assert_true(spool_move(other.spool, QUEUE_INCOMING, QUEUE_DEFERRED, &moved, NULL));
	id = fixture_write(f, QUEUE_INCOMING, STR("two\r\n"));
	assert_true(slot_inode(f, 0) != 0);
	assert_true(reads_as(&other, QUEUE_DEFERRED, &moved, "moved\r\n"));
	assert_true(reads_as(&other, QUEUE_INCOMING, &id, "two\r\n"));

	assert_true(spool_remove(f->spool, QUEUE_INCOMING, &id, NULL));
	assert_int_equal(unlink(path), 0);
	id = fixture_write(f, QUEUE_INCOMING, STR("three\r\n"));
	assert_true(reads_as(&other, QUEUE_INCOMING, &id, "three\r\n"));

	assert_true(spool_remove(f->spool, QUEUE_INCOMING, &id, NULL));
	there = fixture_write(&other, QUEUE_INCOMING, STR("there\r\n"));
	atomic_store(&f->spool->shared->slots[0], 0);
	atomic_store(&f->spool->shared->first_free, 0);
	id = fixture_write(f, QUEUE_INCOMING, STR("four\r\n"));
	assert_true(reads_as(&other, QUEUE_INCOMING, &there, "there\r\n"));
	assert_true(reads_as(&other, QUEUE_INCOMING, &id, "four\r\n"));

	assert_true(spool_remove(other.spool, QUEUE_INCOMING, &there, NULL));
	assert_true(spool_remove(f->spool, QUEUE_INCOMING, &id, NULL));
	assert_int_equal(spool_remove(f->spool, QUEUE_INCOMING, &there, NULL), true);
	spool_close(&other.spool);
	x_free(&path);
}

static bool count(void *arg, enum spool_queue q, const struct queue_id *id)
{
	++*(size_t *)arg;
	return true;
}

static void test_more_than_slots(void **state)
{
	struct fixture *f = *state;
	struct spool_recovery recovery;
	size_t n = 0;

	for (int i = 0; i < SPOOL_SLOTS + 20; i++)
		fixture_write(f, QUEUE_INCOMING, STR("x\r\n"));
	assert_true(spool_scan(f->spool, QUEUE_INCOMING, count, &n, NULL));
	assert_int_equal(n, SPOOL_SLOTS + 20);
	assert_true(spool_recover(f->spool, &recovery, NULL));
	assert_int_equal(recovery.messages, SPOOL_SLOTS + 20);
	assert_int_equal(recovery.damaged + recovery.leftovers, 0);
}

static void test_recovery_makes_the_table(void **state)
{
	struct fixture *f = *state;
	struct queue_id one = fixture_write(f, QUEUE_INCOMING, STR("one\r\n"));
	struct spool_recovery recovery;
	char *path = x_asprintf("%s/queue_id_sequence", f->directory);
	size_t n = 0;

	assert_int_equal(unlink(path), 0);
	f->options.long_ids = true;
	fixture_reopen(f);
	assert_true(spool_recover(f->spool, &recovery, NULL));
	assert_int_equal(recovery.messages, 1);
	assert_true(spool_scan(f->spool, QUEUE_INCOMING, count, &n, NULL));
	assert_int_equal(n, 1);
	assert_true(reads_as(f, QUEUE_INCOMING, &one, "one\r\n"));
	x_free(&path);
}

/* What a crash in the one write leaves: pages of the new message over the old one. */
static void test_torn_slot(void **state)
{
	struct fixture *f = *state;
	struct queue_id one = fixture_write(f, QUEUE_INCOMING, STR("one\r\n")), two;
	struct spool_recovery recovery;
	struct envelope *e;
	char *path = slot_path(f, 0);
	int fd;

	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "X", 1, SPOOL_HEADER_SIZE), 1);
	close(fd);
	assert_true(spool_recover(f->spool, &recovery, NULL));
	assert_int_equal(recovery.damaged, 1);
	assert_int_equal(recovery.messages, 0);
	assert_int_equal(spool_load(f->spool, QUEUE_INCOMING, &one, f->pool, &e, NULL), SPOOL_GONE);
	assert_int_equal(spool_load(f->spool, QUEUE_CORRUPT, &one, f->pool, &e, NULL), SPOOL_OK);
	two = fixture_write(f, QUEUE_INCOMING, STR("two\r\n"));
	assert_true(reads_as(f, QUEUE_INCOMING, &two, "two\r\n"));
	x_free(&path);
}

static void *churn(void *arg)
{
	struct fixture *f = arg;

	for (int i = 0; i < 100; i++) {
		char *text = x_asprintf("thread %lx round %d\r\n", (unsigned long)pthread_self(), i);
		struct queue_id id = fixture_write(f, QUEUE_INCOMING, str_c(text));

		assert_true(reads_as(f, QUEUE_INCOMING, &id, text));
		if (i % 3 == 0) {
			assert_true(spool_move(f->spool, QUEUE_INCOMING, QUEUE_DEFERRED, &id, NULL));
			assert_true(reads_as(f, QUEUE_DEFERRED, &id, text));
			assert_true(spool_remove(f->spool, QUEUE_DEFERRED, &id, NULL));
		} else {
			assert_true(spool_remove(f->spool, QUEUE_INCOMING, &id, NULL));
		}
		x_free(&text);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct fixture *f = *state;
	struct spool_recovery recovery;
	pthread_t threads[8];

	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, churn, f);
	for (int i = 0; i < 3; i++)
		assert_true(spool_recover(f->spool, &recovery, NULL));
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	assert_true(spool_recover(f->spool, &recovery, NULL));
	assert_int_equal(recovery.messages + recovery.damaged + recovery.leftovers, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reuse, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			test_old_records_do_not_count, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			test_reader_keeps_what_it_reads, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_move_out, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_table_lies, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_hints_lie, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_room_that_is_kept, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_kept_descriptors, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_more_than_slots, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			test_recovery_makes_the_table, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_torn_slot, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_threads, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
