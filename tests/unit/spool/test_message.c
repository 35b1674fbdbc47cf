/* One message through its life: written, read, changed, moved, removed; small and large. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spool_fixture.h"
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define END_MARK 10 /* zero bytes after the last record */

static struct str text_of(size_t size)
{
	char *p = x_alloc(size + 1);

	for (size_t i = 0; i < size; i++)
		p[i] = (char)(i % 76 == 74 ? '\r' : i % 76 == 75 ? '\n' : 'a' + (int)(i % 23));
	return (struct str){p, size};
}

static void expect_content(
	struct fixture *f, enum spool_queue q, const struct queue_id *id, struct str wanted)
{
	struct spool_reader *r;
	struct str piece;
	size_t at = 0;

	assert_int_equal(spool_open_content(f->spool, q, id, &r, NULL), SPOOL_OK);
	for (int round = 0; round < 2; round++, at = 0) {
		do {
			assert_int_equal(spool_read_content(r, &piece, NULL), SPOOL_OK);
			assert_true(at + piece.n <= wanted.n);
			assert_memory_equal(piece.p, wanted.p + at, piece.n);
			at += piece.n;
		} while (piece.n > 0);
		assert_int_equal(at, wanted.n);
		assert_true(spool_rewind(r));
	}
	spool_reader_free(&r);
}

static void fill(struct spool_writer *w, struct str text)
{
	assert_true(spool_content(w, str_first(text, text.n / 3)));
	assert_true(spool_content(w, str_from(text, text.n / 3)));
}

typedef ssize_t read_fn(const struct spool_writer *w, uint64_t offset, void *out, size_t n);

static void expect_readable(const struct spool_writer *w, read_fn *read, struct str wanted)
{
	char piece[10000];
	size_t at = 0;
	ssize_t n;

	while ((n = read(w, at, piece, sizeof(piece))) > 0) {
		assert_true(at + (size_t)n <= wanted.n);
		assert_memory_equal(piece, wanted.p + at, (size_t)n);
		at += (size_t)n;
	}
	assert_int_equal(n, 0);
	assert_int_equal(at, wanted.n);
}

/* Content that is written, read back, and written anew, in memory and in the file. */
static void test_restart(void **state)
{
	static const size_t sizes[] = {0, 1, 2000, (128 << 10) - 1, 128 << 10, 200000, 300000};
	const size_t count = sizeof(sizes) / sizeof(sizes[0]);
	struct fixture *f = *state;

	for (size_t i = 0; i < count * count; i++) {
		struct str old = text_of(sizes[i / count]), new = text_of(sizes[i % count]);
		struct spool_writer *w = spool_create(f->spool, QUEUE_INCOMING, NULL);
		struct queue_id id = *spool_writer_id(w);
		struct spool_recipient recipient = {.address = "a@b"};
		struct envelope e = {.sender = "s@x", .recipients = &recipient, .recipient_count = 1}, *found;

		fill(w, old);
		expect_readable(w, spool_written, old);
		assert_true(spool_restart(w));
		expect_readable(w, spool_former, old);
		fill(w, new);
		expect_readable(w, spool_former, old);
		expect_readable(w, spool_written, new);
		assert_true(spool_commit(&w, &e, NULL));
		expect_content(f, QUEUE_INCOMING, &id, new);
		assert_int_equal(spool_load(f->spool, QUEUE_INCOMING, &id, f->pool, &found, NULL), SPOOL_OK);
		assert_int_equal(found->content_size, new.n);
		assert_true(spool_remove(f->spool, QUEUE_INCOMING, &id, NULL));
		free((char *)old.p);
		free((char *)new.p);
	}
}

static void test_sizes(void **state)
{
	static const size_t sizes[] = {
		0, 1, 2000, 16 << 10, (128 << 10) - 1, 128 << 10, (128 << 10) + 1, 300000, 5 << 20};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct str text = text_of(sizes[i]);
		struct queue_id id = fixture_write(f, QUEUE_INCOMING, text);
		struct envelope *e;

		assert_int_equal(spool_load(f->spool, QUEUE_INCOMING, &id, f->pool, &e, NULL), SPOOL_OK);
		assert_int_equal(e->content_size, sizes[i]);
		assert_string_equal(e->id.text, id.text);
		expect_content(f, QUEUE_INCOMING, &id, text);
		x_free(&text.p);
	}
}

static void test_envelope_round_trip(void **state)
{
	struct fixture *f = *state;
	struct queue_id id = fixture_write(f, QUEUE_INCOMING, STR("Subject: x\r\n\r\nhello\r\n"));
	struct envelope *e;

	assert_int_equal(spool_load(f->spool, QUEUE_INCOMING, &id, f->pool, &e, NULL), SPOOL_OK);
	assert_string_equal(e->sender, "sender@example.org");
	assert_string_equal(e->envid, "env-1");
	assert_int_equal(e->ret, RET_HDRS);
	assert_int_equal(e->flags, ENVELOPE_8BIT | ENVELOPE_DOTS);
	assert_int_equal(e->recipient_count, 3);
	assert_string_equal(e->recipients[1].address, "two@example.net");
	assert_string_equal(e->recipients[1].original, "Two@example.net");
	assert_string_equal(e->recipients[1].orcpt, "rfc822;2@example.net");
	assert_int_equal(e->recipients[1].notify, NOTIFY_DELAY);
	assert_null(e->recipients[0].original);
	assert_null(e->recipients[0].last);
	assert_string_equal(envelope_attribute(e, "client_name"), "client.example");
	assert_string_equal(envelope_attribute(e, "empty"), "");
	assert_null(envelope_attribute(e, "absent"));
	assert_int_equal(e->attempts, 0);
}

static void test_updates(void **state)
{
	struct fixture *f = *state;
	struct queue_id id = fixture_write(f, QUEUE_DEFERRED, STR("body\r\n"));
	struct dsn *late = dsn_make(f->pool, DSN_DELAYED, "4.4.1", "connect to %s: timed out", "mx");
	struct spool_update updates[] = {{0, RECIPIENT_DONE, NULL}, {2, RECIPIENT_PENDING, late}};
	struct envelope *e;

	late->diag_type = "smtp";
	late->diag_text = "451 4.4.1 later";
	assert_true(spool_record(f->spool, QUEUE_DEFERRED, &id, updates, 2, true, NULL));
	assert_true(spool_schedule(f->spool, QUEUE_DEFERRED, &id, 1234567, 3, 99, NULL));
	assert_int_equal(spool_load(f->spool, QUEUE_DEFERRED, &id, f->pool, &e, NULL), SPOOL_OK);
	assert_int_equal(e->recipients[0].state, RECIPIENT_DONE);
	assert_int_equal(e->recipients[1].state, RECIPIENT_PENDING);
	assert_string_equal(e->recipients[2].last->reason, "connect to mx: timed out");
	assert_string_equal(e->recipients[2].last->diag_text, "451 4.4.1 later");
	assert_null(e->recipients[2].last->mta_name);
	assert_int_equal(e->next_attempt_us, 1234567);
	assert_int_equal(e->attempts, 3);
	assert_int_equal(e->warned_us, 99);
	updates[0].state = RECIPIENT_FAILED;
	assert_true(spool_record(f->spool, QUEUE_DEFERRED, &id, updates, 1, false, NULL));
	assert_int_equal(spool_load(f->spool, QUEUE_DEFERRED, &id, f->pool, &e, NULL), SPOOL_OK);
	assert_int_equal(e->recipients[0].state, RECIPIENT_FAILED);
}

static void test_flags(void **state)
{
	struct fixture *f = *state;
	struct queue_id id = fixture_write(f, QUEUE_DEFERRED, STR("body\r\n"));
	struct envelope *e;

	assert_true(spool_flag(f->spool, QUEUE_DEFERRED, &id, ENVELOPE_EXPIRED, NULL));
	assert_int_equal(spool_load(f->spool, QUEUE_DEFERRED, &id, f->pool, &e, NULL), SPOOL_OK);
	assert_int_equal(e->flags, ENVELOPE_8BIT | ENVELOPE_DOTS | ENVELOPE_EXPIRED);
}

#define APPENDS 50

struct appender {
	struct fixture *f;
	const struct queue_id *id;
	uint32_t index;
};

static void *append_often(void *arg)
{
	struct appender *a = arg;
	struct dsn d = {.action = DSN_DELAYED, .status = "4.0.0", .reason = "later"};
	struct spool_update u = {a->index, RECIPIENT_PENDING, &d};

	for (int i = 0; i < APPENDS; i++)
		assert_true(spool_record(a->f->spool, QUEUE_DEFERRED, a->id, &u, 1, false, NULL));
	return NULL;
}

/* Records of several at once: none writes over another's. */
static void test_records_of_several(void **state)
{
	struct fixture *f = *state;
	struct queue_id id = fixture_write(f, QUEUE_DEFERRED, STR("body\r\n"));
	off_t before = fixture_size(f, QUEUE_DEFERRED, &id), one;
	struct appender appenders[] = {{f, &id, 0}, {f, &id, 1}, {f, &id, 2}};
	struct spool_update u = {
		0, RECIPIENT_PENDING, &(struct dsn){DSN_DELAYED, "4.0.0", "later", NULL, NULL, NULL, NULL}};
	pthread_t threads[3];

	assert_true(spool_record(f->spool, QUEUE_DEFERRED, &id, &u, 1, false, NULL));
	one = fixture_size(f, QUEUE_DEFERRED, &id) - before;
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, append_often, &appenders[i]);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(fixture_size(f, QUEUE_DEFERRED, &id), before + (3 * APPENDS + 1) * one);
}

/* Days of attempts: the file stays small, and nothing is forgotten. */
static void test_written_anew(void **state)
{
	struct fixture *f = *state;
	struct str text = text_of(200000);
	struct queue_id id = fixture_write(f, QUEUE_DEFERRED, text);
	struct spool_update done = {1, RECIPIENT_DONE, NULL};
	struct envelope *e;

	assert_true(spool_record(f->spool, QUEUE_DEFERRED, &id, &done, 1, true, NULL));
	assert_true(spool_flag(f->spool, QUEUE_DEFERRED, &id, ENVELOPE_EXPIRED, NULL));
	for (uint32_t i = 0; i < 3000; i++) {
		struct dsn *late =
			dsn_make(f->pool, DSN_DELAYED, "4.4.1", "attempt %u failed: connection timed out", i);
		struct spool_update u = {i % 2 * 2, RECIPIENT_PENDING, late};

		assert_true(spool_record(f->spool, QUEUE_DEFERRED, &id, &u, 1, false, NULL));
		assert_true(spool_schedule(f->spool, QUEUE_DEFERRED, &id, i, i, 7, NULL));
	}
	assert_true(fixture_size(f, QUEUE_DEFERRED, &id) < 200000 + 100000);
	assert_int_equal(spool_load(f->spool, QUEUE_DEFERRED, &id, f->pool, &e, NULL), SPOOL_OK);
	assert_int_equal(e->recipients[1].state, RECIPIENT_DONE);
	assert_string_equal(e->recipients[0].last->reason, "attempt 2998 failed: connection timed out");
	assert_string_equal(e->recipients[2].last->reason, "attempt 2999 failed: connection timed out");
	assert_int_equal(e->attempts, 2999);
	assert_int_equal(e->warned_us, 7);
	assert_true(e->flags & ENVELOPE_EXPIRED);
	expect_content(f, QUEUE_DEFERRED, &id, text);
	x_free(&text.p);
}

#define LONG_LIFE 600

static void *defer_often(void *arg)
{
	struct appender *a = arg;
	char reason[400];
	struct dsn late = {.action = DSN_DELAYED, .status = "4.4.1", .reason = reason};
	struct spool_update u = {a->index, RECIPIENT_PENDING, &late};

	for (int i = 1; i <= LONG_LIFE; i++) {
		snprintf(reason, sizeof(reason), "%300d", i);
		assert_true(spool_record(a->f->spool, QUEUE_DEFERRED, a->id, &u, 1, false, NULL));
	}
	return NULL;
}

/* One writes the file anew while others wait to add to it. */
static void test_written_anew_under_others(void **state)
{
	struct fixture *f = *state;
	struct queue_id id = fixture_write(f, QUEUE_DEFERRED, STR("body\r\n"));
	struct appender appenders[] = {{f, &id, 0}, {f, &id, 1}, {f, &id, 2}};
	pthread_t threads[3];
	struct envelope *e;

	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, defer_often, &appenders[i]);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_true(fixture_size(f, QUEUE_DEFERRED, &id) < 100000);
	assert_int_equal(spool_load(f->spool, QUEUE_DEFERRED, &id, f->pool, &e, NULL), SPOOL_OK);
	for (int i = 0; i < 3; i++)
		assert_int_equal(strtol(e->recipients[i].last->reason, NULL, 10), LONG_LIFE);
}

static void test_torn_tail(void **state)
{
	struct fixture *f = *state;
	struct queue_id id = fixture_write(f, QUEUE_DEFERRED, STR("body\r\n"));
	struct spool_update first = {0, RECIPIENT_DONE, NULL}, second = {1, RECIPIENT_DONE, NULL};
	struct envelope *e;
	off_t before, after;
	int fd;

	before = fixture_size(f, QUEUE_DEFERRED, &id);
	assert_true(spool_record(f->spool, QUEUE_DEFERRED, &id, &first, 1, true, NULL));
	after = fixture_size(f, QUEUE_DEFERRED, &id);
	for (off_t cut = before; cut < after - END_MARK; cut++) {
		fd = fixture_open(f, QUEUE_DEFERRED, &id);
		assert_int_equal(ftruncate(fd, cut), 0);
		close(fd);
		assert_int_equal(spool_load(f->spool, QUEUE_DEFERRED, &id, f->pool, &e, NULL), SPOOL_OK);
		assert_int_equal(e->recipients[0].state, RECIPIENT_PENDING);
		assert_true(spool_record(f->spool, QUEUE_DEFERRED, &id, &second, 1, true, NULL));
		assert_int_equal(spool_load(f->spool, QUEUE_DEFERRED, &id, f->pool, &e, NULL), SPOOL_OK);
		assert_int_equal(e->recipients[0].state, RECIPIENT_PENDING);
		assert_int_equal(e->recipients[1].state, RECIPIENT_DONE);
		fd = fixture_open(f, QUEUE_DEFERRED, &id);
		assert_int_equal(ftruncate(fd, before), 0);
		close(fd);
		assert_true(spool_record(f->spool, QUEUE_DEFERRED, &id, &first, 1, true, NULL));
	}
}

static void test_move_find_remove(void **state)
{
	struct fixture *f = *state;
	struct queue_id id = fixture_write(f, QUEUE_INCOMING, STR("body\r\n"));
	struct envelope *e;
	enum spool_queue q;

	assert_true(spool_find(f->spool, &id, &q));
	assert_int_equal(q, QUEUE_INCOMING);
	assert_true(spool_move(f->spool, QUEUE_INCOMING, QUEUE_DEFERRED, &id, NULL));
	assert_true(spool_find(f->spool, &id, &q));
	assert_int_equal(q, QUEUE_DEFERRED);
	assert_int_equal(spool_load(f->spool, QUEUE_INCOMING, &id, f->pool, &e, NULL), SPOOL_GONE);
	assert_true(spool_remove(f->spool, QUEUE_DEFERRED, &id, NULL));
	assert_true(spool_remove(f->spool, QUEUE_DEFERRED, &id, NULL));
	assert_false(spool_find(f->spool, &id, &q));
	assert_false(spool_move(f->spool, QUEUE_DEFERRED, QUEUE_HOLD, &id, NULL));
}

static void test_abort_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct str text = text_of(300000);
	struct spool_writer *w = spool_create(f->spool, QUEUE_INCOMING, NULL);
	struct queue_id id = *spool_writer_id(w);
	struct envelope *e;
	enum spool_queue q;

	assert_true(spool_content(w, text));
	assert_int_equal(spool_load(f->spool, QUEUE_INCOMING, &id, f->pool, &e, NULL), SPOOL_UNFINISHED);
	spool_abort(&w);
	assert_null(w);
	assert_false(spool_find(f->spool, &id, &q));
	x_free(&text.p);
}

static bool count(void *arg, enum spool_queue q, const struct queue_id *id)
{
	++*(size_t *)arg;
	return true;
}

static bool try_to_write(struct fixture *f, enum spool_queue q, size_t size)
{
	struct spool_recipient to = {.address = "user@example.com"};
	struct envelope e = {.sender = "", .recipients = &to, .recipient_count = 1};
	struct str text = text_of(size);
	struct spool_writer *w = spool_create(f->spool, q, NULL);
	struct err err = {""};
	bool ok;

	spool_content(w, text);
	ok = spool_commit(&w, &e, &err);
	assert_null(w);
	assert_true(ok || strstr(err.text, "File too large"));
	x_free(&text.p);
	return ok;
}

/* No room: the message is refused, nothing of it stays, and later ones find their place. */
static void test_no_room(void **state)
{
	static const size_t sizes[] = {20000, 100000, 300000, 5 << 20};
	static const enum spool_queue queues[] = {QUEUE_INCOMING, QUEUE_HOLD};
	struct fixture *f = *state;
	struct rlimit before, small = {10000, RLIM_INFINITY};
	struct spool_recovery recovery;
	size_t n = 0;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (size_t j = 0; j < sizeof(queues) / sizeof(queues[0]); j++) {
			setrlimit(RLIMIT_FSIZE, &small);
			assert_false(try_to_write(f, queues[j], sizes[i]));
			setrlimit(RLIMIT_FSIZE, &before);
			assert_true(try_to_write(f, queues[j], sizes[i]));
		}
	}
	assert_true(spool_scan(f->spool, QUEUE_INCOMING, count, &n, NULL));
	assert_true(spool_scan(f->spool, QUEUE_HOLD, count, &n, NULL));
	assert_int_equal(n, 8);
	assert_true(spool_recover(f->spool, &recovery, NULL));
	assert_int_equal(recovery.messages, 8);
	assert_int_equal(recovery.leftovers + recovery.damaged, 0);
}

static void test_hostile_names(void **state)
{
	static const char *const names[] = {"", "A", "../../etc/passwd", "a.b", "ABC/DEF", "..", "ABCDE"};
	struct fixture *f = *state;
	struct envelope *e;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct queue_id id = {""};

		memcpy(id.text, names[i], strlen(names[i]) + 1);
		assert_int_equal(spool_load(f->spool, QUEUE_INCOMING, &id, f->pool, &e, NULL), SPOOL_GONE);
		assert_false(spool_remove(f->spool, QUEUE_INCOMING, &id, NULL));
	}
}

static void test_foreign_files(void **state)
{
	struct fixture *f = *state;
	struct queue_id id = fixture_write(f, QUEUE_HOLD, STR("body\r\n"));
	struct queue_id link_id = {"64200000001"}, symlink_id = {"64200000002"}, pipe_id = {"64200000003"};
	struct envelope *e;
	int dir = open(f->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char from[64];

	snprintf(from, sizeof(from), "hold/%s", id.text);
	assert_int_equal(symlinkat(id.text, dir, "hold/64200000002"), 0);
	assert_int_equal(mkfifoat(dir, "hold/64200000003", 0600), 0);
	assert_int_equal(spool_load(f->spool, QUEUE_HOLD, &symlink_id, f->pool, &e, NULL), SPOOL_CORRUPT);
	assert_int_equal(spool_load(f->spool, QUEUE_HOLD, &pipe_id, f->pool, &e, NULL), SPOOL_CORRUPT);
	assert_int_equal(spool_load(f->spool, QUEUE_HOLD, &id, f->pool, &e, NULL), SPOOL_OK);
	assert_int_equal(linkat(dir, from, dir, "hold/64200000001", 0), 0);
	assert_int_equal(spool_load(f->spool, QUEUE_HOLD, &link_id, f->pool, &e, NULL), SPOOL_CORRUPT);
	assert_int_equal(spool_load(f->spool, QUEUE_HOLD, &id, f->pool, &e, NULL), SPOOL_CORRUPT);
	close(dir);
}

/* A file under another's name, any byte changed, any length: corrupt or unfinished, never read as a message
 * with other facts. */
static void test_damage(void **state)
{
	struct fixture *f = *state;
	struct queue_id id = fixture_write(f, QUEUE_HOLD, STR("Subject: x\r\n\r\nbody\r\n"));
	off_t size = fixture_size(f, QUEUE_HOLD, &id) - END_MARK;
	int fd = fixture_open(f, QUEUE_HOLD, &id);
	struct envelope *e;

	for (off_t at = 0; at < size; at++) {
		char byte, other;
		struct spool_reader *r = NULL;
		struct str piece = {"x", 1};
		enum spool_status status;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		other = (char)(byte ^ 0x41);
		assert_int_equal(pwrite(fd, &other, 1, at), 1);
		status = spool_load(f->spool, QUEUE_HOLD, &id, f->pool, &e, NULL);
		if (status == SPOOL_OK) {
			assert_int_equal(spool_open_content(f->spool, QUEUE_HOLD, &id, &r, NULL), SPOOL_OK);
			while (status == SPOOL_OK && piece.n > 0)
				status = spool_read_content(r, &piece, NULL);
			spool_reader_free(&r);
		}
		assert_int_equal(status, SPOOL_CORRUPT);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	for (off_t cut = size - 1; cut >= 0; cut--) {
		assert_int_equal(ftruncate(fd, cut), 0);
		assert_int_equal(spool_load(f->spool, QUEUE_HOLD, &id, f->pool, &e, NULL), SPOOL_UNFINISHED);
	}
	close(fd);
}

struct watcher {
	struct fixture *f;
	_Atomic bool end;
	unsigned closed; /* files that pickup could not have read */
};

static void look(struct watcher *w, const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir)))
		w->closed += fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode) &&
			     !(st.st_mode & S_IROTH);
	if (dir)
		closedir(dir);
}

static void *watch(void *arg)
{
	struct watcher *w = arg;
	char path[100];

	snprintf(path, sizeof(path), "%s/maildrop", w->f->directory);
	while (!w->end)
		look(w, path);
	return NULL;
}

/* pickup may come between any two steps. */
static void test_maildrop_is_readable_from_the_first(void **state)
{
	struct fixture *f = *state;
	struct watcher w = {.f = f};
	pthread_t thread;
	mode_t old = umask(022);

	assert_int_equal(pthread_create(&thread, NULL, watch, &w), 0);
	for (int i = 0; i < 500; i++) {
		struct queue_id id = fixture_write(f, QUEUE_MAILDROP, STR("x\n"));

		assert_true(spool_remove(f->spool, QUEUE_MAILDROP, &id, NULL));
	}
	w.end = true;
	pthread_join(thread, NULL);
	umask(old);
	assert_int_equal(w.closed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_restart, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_sizes, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_envelope_round_trip, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_updates, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_flags, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_records_of_several, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_written_anew, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			test_written_anew_under_others, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_torn_tail, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_move_find_remove, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_abort_leaves_nothing, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_no_room, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_hostile_names, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_foreign_files, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_damage, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			test_maildrop_is_readable_from_the_first, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
