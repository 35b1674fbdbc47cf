#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../spool/spool_fixture.h"
#include "base/clock.h"
#include "base/sys.h"
#include "base/sys_identity.h"
#include "deliver/deliver.h"

/* A message in a queue and a mailbox directory beside it; everything as ourselves. */
struct setting {
	struct fixture *spool;
	struct config cfg;
	struct deliver_settings settings;
	struct deliver_user user;
	struct spool_reader *reader;
	struct queue_id id;
	struct deliver_job job;
	char box[100];
};

static void setting_begin(struct setting *s, void **state, struct str content)
{
	struct err err = {""};

	*s = (struct setting){.spool = *state,
		.cfg = {.mailbox_delivery_lock = "fcntl, dotlock",
			.deliver_lock_attempts = 1,
			.stale_lock_time = 500,
			.strict_mailbox_ownership = true},
		.user = {.name = "joe", .home = "/nonexistent", .uid = geteuid(), .gid = getegid()}};
	assert_true(deliver_settings_make(
		&s->settings, &s->cfg, "mailbox_delivery_lock", s->cfg.mailbox_delivery_lock, 0, &err));
	s->id = fixture_write(s->spool, QUEUE_ACTIVE, content);
	assert_int_equal(
		spool_open_content(s->spool->spool, QUEUE_ACTIVE, &s->id, &s->reader, &err), SPOOL_OK);
	snprintf(s->box, sizeof(s->box), "%s/box", s->spool->directory);
	s->job = (struct deliver_job){.settings = &s->settings,
		.pool = s->spool->pool,
		.reader = s->reader,
		.sender = "s@x.org",
		.delivered = "joe@y.org",
		.original = "joe@y.org",
		.queue_id = s->id.text,
		.user = &s->user};
}

static void setting_end(struct setting *s)
{
	spool_reader_free(&s->reader);
}

static void expect_dsn(const struct dsn *dsn, enum dsn_action action, const char *status, const char *reason)
{
	assert_string_equal(dsn->status, status);
	assert_non_null(strstr(dsn->reason, reason));
	assert_int_equal(dsn->action, action);
}

static void read_box(const struct setting *s, struct buf *out)
{
	struct err err = {""};

	buf_clear(out);
	if (!sys_read_file(s->box, out, &err))
		fail_msg("%s", err.text);
}

static void test_mailbox(void **state)
{
	struct setting s;
	struct buf text = BUF(10000);
	const char *first;

	setting_begin(&s, state, STR("Subject: x\r\n\r\nFrom a\r\n>From b\r\nbare\rcr\r\nlf\nend\r\n"));
	expect_dsn(deliver_mailbox(&s.job, s.box, DELIVER_SHARED), DSN_DELIVERED, "2.0.0",
		"delivered to mailbox");
	read_box(&s, &text);
	first = strchr(buf_cstr(&text), '\n');
	assert_int_equal(strncmp(buf_cstr(&text), "From s@x.org  ", 14), 0);
	assert_string_equal(first,
		"\nReturn-Path: <s@x.org>\nX-Original-To: joe@y.org\nDelivered-To: joe@y.org\nSubject: x\n\n"
		">From a\n>From b\nbare\rcr\nlf\nend\n\n");
	setting_end(&s);
	buf_free(&text);
}

static void test_mailbox_is_cut_back_after_a_failure(void **state)
{
	struct setting s;
	struct buf text = BUF(10000);

	setting_begin(&s, state, STR("Subject: x\r\n\r\n0123456789\r\n"));
	assert_true(sys_replace_file(s.box, STR("old content\n"), 0600, NULL));
	s.settings.size_limit = 100;
	expect_dsn(deliver_mailbox(&s.job, s.box, DELIVER_SHARED), DSN_FAILED, "5.2.2", "File too large");
	read_box(&s, &text);
	assert_string_equal(buf_cstr(&text), "old content\n");
	setting_end(&s);
	buf_free(&text);
}

static void test_mailbox_locked_by_another(void **state)
{
	struct setting s;
	char lock[120];
	struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

	setting_begin(&s, state, STR("x\r\n"));
	snprintf(lock, sizeof(lock), "%s.lock", s.box);
	assert_true(sys_replace_file(lock, STR(""), 0600, NULL));
	expect_dsn(deliver_mailbox(&s.job, s.box, DELIVER_SHARED), DSN_DELAYED, "4.2.0", "unable to lock");
	assert_int_equal(access(lock, F_OK), 0);
	assert_int_equal(access(s.box, F_OK), -1);
	assert_int_equal(utimensat(AT_FDCWD, lock, old, 0), 0);
	s.cfg.stale_lock_time = -10;
	assert_true(spool_rewind(s.reader));
	expect_dsn(deliver_mailbox(&s.job, s.box, DELIVER_SHARED), DSN_DELIVERED, "2.0.0", "");
	assert_int_equal(access(lock, F_OK), -1);
	setting_end(&s);
}

static void test_envelope_cannot_forge_lines(void **state)
{
	struct setting s;
	struct buf text = BUF(10000);

	setting_begin(&s, state, STR("x\r\n"));
	s.job.sender = "a\nFrom evil@x.org";
	s.job.original = "b\r\nBcc: c";
	expect_dsn(deliver_mailbox(&s.job, s.box, DELIVER_SHARED), DSN_DELIVERED, "2.0.0", "");
	read_box(&s, &text);
	assert_null(strstr(buf_cstr(&text), "\nFrom"));
	assert_null(strstr(buf_cstr(&text), "\nBcc"));
	setting_end(&s);
	buf_free(&text);
}

static int count_files(const char *directory)
{
	DIR *d = opendir(directory);
	int n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void test_maildir(void **state)
{
	struct setting s;
	char path[150];

	setting_begin(&s, state, STR("Subject: x\r\n\r\nFrom a\r\n"));
	snprintf(path, sizeof(path), "%s/deep/er//", s.box);
	for (int i = 0; i < 5; i++) {
		expect_dsn(deliver_maildir(&s.job, path, DELIVER_HOME), DSN_DELIVERED, "2.0.0",
			"delivered to maildir");
		assert_true(spool_rewind(s.reader));
	}
	snprintf(path, sizeof(path), "%s/deep/er/new", s.box);
	assert_int_equal(count_files(path), 5);
	snprintf(path, sizeof(path), "%s/deep/er/tmp", s.box);
	assert_int_equal(count_files(path), 0);
	setting_end(&s);
}

static void test_maildir_failures_leave_nothing(void **state)
{
	struct setting s;
	char path[150];

	setting_begin(&s, state, STR("Subject: x\r\n\r\n0123456789\r\n"));
	s.settings.size_limit = 50;
	expect_dsn(deliver_maildir(&s.job, s.box, DELIVER_HOME), DSN_FAILED, "5.2.2",
		"maildir delivery failed: write");
	snprintf(path, sizeof(path), "%s/tmp", s.box);
	assert_int_equal(count_files(path), 0);
	snprintf(path, sizeof(path), "%s/file", s.spool->directory);
	assert_true(sys_replace_file(path, STR(""), 0600, NULL));
	assert_true(spool_rewind(s.reader));
	expect_dsn(deliver_maildir(&s.job, path, DELIVER_HOME), DSN_DELAYED, "4.2.0", "Too many levels");
	setting_end(&s);
}

static void test_loop(void **state)
{
	static const struct {
		const char *content;
		bool found;
	} cases[] = {
		{"Delivered-To: joe@y.org\r\n\r\n", true},
		{"delivered-to:joe@Y.ORG\r\n\r\n", true},
		{"Delivered-To:\r\n\t<joe@y.org>\r\nX: y\r\n\r\n", true},
		{"X: y\r\n Delivered-To: joe@y.org\r\n\r\n", false},
		{"Delivered-To: joe@y.org", true},
		{"Delivered-To: other@y.org\r\nDelivered-To: joe@y.org\r\n\r\n", true},
		{"Delivered-To: joe@y.org.example\r\n\r\n", false},
		{"X: y\r\n\r\nDelivered-To: joe@y.org\r\n", false},
		{"", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct setting s;
		struct err err;
		bool found = !cases[i].found;

		setting_begin(&s, state, str_c(cases[i].content));
		assert_int_equal(deliver_content_delivered_to(s.reader, "joe@y.org", &found, &err), SPOOL_OK);
		assert_int_equal(found, cases[i].found);
		setting_end(&s);
	}
}

static void test_users(void **state)
{
	struct pool *pool = pool_new(256);
	struct deliver_user user;
	struct err err;

	assert_int_equal(deliver_user_find(pool, "root", &user, &err), DELIVER_USER_FOUND);
	assert_int_equal(user.uid, 0);
	assert_int_equal(deliver_user_find(pool, "no-such-user", &user, &err), DELIVER_USER_UNKNOWN);
	assert_int_equal(deliver_user_find(pool, "", &user, &err), DELIVER_USER_UNKNOWN);
	assert_int_equal(deliver_user_find(pool, "..", &user, &err), DELIVER_USER_UNKNOWN);
	assert_int_equal(deliver_user_find(pool, "../root", &user, &err), DELIVER_USER_UNKNOWN);
	pool_free(&pool);
}

static void test_settings(void **state)
{
	struct config cfg = {.mailbox_delivery_lock = ""};
	struct deliver_settings s;
	struct err err;

	assert_true(deliver_settings_make(&s, &cfg, "p", "flock", 0, &err));
	assert_int_equal(s.locks, LOCK_FLOCK);
	assert_false(deliver_settings_make(&s, &cfg, "p", "", 0, &err));
	assert_string_equal(err.text, "parameter p: no method");
	assert_true(str_lists("command, file", "file"));
	assert_false(str_lists("commander", "command"));
}

static void test_identity(void **state)
{
	struct sys_identity saved;
	struct err err;
	uid_t self = geteuid();

	assert_true(sys_act_as(&saved, self, getegid(), &err));
	sys_act_back(&saved);
	if (self != 0) {
		assert_false(sys_act_as(&saved, self + 1, getegid(), &err));
		return;
	}
	assert_true(sys_act_as(&saved, 12345, 12346, &err));
	assert_int_equal(geteuid(), 12345);
	assert_int_equal(getegid(), 12346);
	assert_int_equal(open("/etc/shadow", O_RDONLY), -1);
	sys_act_back(&saved);
	assert_int_equal(geteuid(), 0);
	assert_int_equal(getegid(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_mailbox, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			test_mailbox_is_cut_back_after_a_failure, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			test_mailbox_locked_by_another, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			test_envelope_cannot_forge_lines, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_maildir, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			test_maildir_failures_leave_nothing, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_loop, fixture_setup, fixture_teardown),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
