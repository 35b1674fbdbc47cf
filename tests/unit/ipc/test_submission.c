#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ipc/submission.h"
#include "mail/address.h"

static struct cursor only_frame(const struct buf *b, uint16_t wanted)
{
	struct cursor fields;
	uint16_t type;
	size_t used;

	assert_int_equal(frame_parse(buf_slice(b), &type, &fields, &used), 1);
	assert_int_equal(type, wanted);
	assert_int_equal(used, b->len);
	return fields;
}

static void test_envelope(void **state)
{
	const char *recipients[] = {"a@x.org", "b c@y.org"};
	struct submission in = {.sender = "",
		.full_name = "J\xc3\xb6rg",
		.envid = "e+1",
		.body = "8BITMIME",
		.verp = "+=",
		.ret = RET_HDRS,
		.notify = NOTIFY_SUCCESS | NOTIFY_DELAY,
		.flags = ENVELOPE_REPORT | ENVELOPE_PROBE,
		.recipients = recipients,
		.recipient_count = 2};
	struct submission out;
	struct pool *pool = pool_new(1024);
	struct buf b = BUF(FRAME_MAX);
	struct err err;

	submission_encode(&b, &in);
	assert_true(submission_decode(only_frame(&b, FRAME_SUBMIT_ENVELOPE), pool, &out, &err));
	assert_string_equal(out.sender, "");
	assert_string_equal(out.full_name, in.full_name);
	assert_string_equal(out.envid, "e+1");
	assert_string_equal(out.body, "8BITMIME");
	assert_string_equal(out.verp, "+=");
	assert_int_equal(out.ret, RET_HDRS);
	assert_int_equal(out.notify, in.notify);
	assert_int_equal(out.flags, in.flags);
	assert_int_equal(out.recipient_count, 2);
	assert_string_equal(out.recipients[1], "b c@y.org");
	buf_free(&b);
	pool_free(&pool);
}

static void expect_refused(const struct submission *in, const char *why)
{
	struct pool *pool = pool_new(1024);
	struct buf b = BUF(FRAME_MAX);
	struct submission out;
	struct err err = {""};

	submission_encode(&b, in);
	assert_false(submission_decode(only_frame(&b, FRAME_SUBMIT_ENVELOPE), pool, &out, &err));
	assert_non_null(strstr(err.text, why));
	buf_free(&b);
	pool_free(&pool);
}

static void test_refused_envelopes(void **state)
{
	const char *good[] = {"a@x.org"}, *broken[] = {"a@x.org", "b\r\n@x.org"}, *delete[] = {"a\x7f@x.org"};
	char longer[ADDRESS_MAX + 10];
	const char *too_long[] = {longer};

	expect_refused(
		&(struct submission){
			.sender = "", .recipients = good, .recipient_count = 1, .flags = ENVELOPE_PROBE},
		"malformed");
	memset(longer, 'l', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	expect_refused(&(struct submission){.sender = "s"}, "no recipients");
	expect_refused(
		&(struct submission){.sender = "s\nx", .recipients = good, .recipient_count = 1}, "control");
	expect_refused(
		&(struct submission){
			.sender = "s", .full_name = "\t", .recipients = good, .recipient_count = 1},
		"control");
	expect_refused(
		&(struct submission){.sender = "s", .envid = "\n", .recipients = good, .recipient_count = 1},
		"control");
	expect_refused(
		&(struct submission){.sender = "s", .recipients = broken, .recipient_count = 2}, "control");
	expect_refused(
		&(struct submission){.sender = "s", .recipients = delete, .recipient_count = 1}, "control");
	expect_refused(
		&(struct submission){.sender = "s", .recipients = too_long, .recipient_count = 1}, "longer");
	expect_refused(
		&(struct submission){.sender = longer, .recipients = good, .recipient_count = 1}, "longer");
	expect_refused(
		&(struct submission){.sender = "s", .ret = 7, .recipients = good, .recipient_count = 1},
		"malformed");
}

/* Whatever bytes come: an answer, and no reading outside. */
static void test_damaged_envelopes(void **state)
{
	const char *recipients[] = {"a@x.org", "b@y.org"};
	struct submission in = {.sender = "s@x.org", .recipients = recipients, .recipient_count = 2}, out;
	struct buf b = BUF(FRAME_MAX);
	struct cursor fields;
	struct err err;

	submission_encode(&b, &in);
	fields = only_frame(&b, FRAME_SUBMIT_ENVELOPE);
	for (size_t cut = 0; cut < fields.left; cut++) {
		struct pool *pool = pool_new(256);

		submission_decode(cursor_of(fields.p, cut), pool, &out, &err);
		pool_free(&pool);
	}
	for (size_t i = 0; i < b.len; i++) {
		struct pool *pool = pool_new(256);
		char kept = b.data[i];

		b.data[i] = (char)0xff;
		submission_decode(cursor_of(fields.p, fields.left), pool, &out, &err);
		b.data[i] = kept;
		pool_free(&pool);
	}
	buf_free(&b);
}

static void test_content_and_answer(void **state)
{
	struct pool *pool = pool_new(256);
	struct buf b = BUF(FRAME_MAX);
	struct submission_answer a;
	struct str piece;

	submission_content_encode(&b, STR("x\0y"));
	assert_true(submission_content_decode(only_frame(&b, FRAME_SUBMIT_CONTENT), &piece));
	assert_true(str_eq(piece, STR("x\0y")));
	buf_clear(&b);
	submission_answer_encode(&b, &(struct submission_answer){.queue_id = "ABC"});
	assert_true(submission_answer_decode(only_frame(&b, FRAME_SUBMIT_ANSWER), pool, &a));
	assert_null(a.error);
	assert_string_equal(a.queue_id, "ABC");
	buf_clear(&b);
	submission_answer_encode(&b, &(struct submission_answer){0});
	assert_false(submission_answer_decode(only_frame(&b, FRAME_SUBMIT_ANSWER), pool, &a));
	buf_free(&b);
	pool_free(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_envelope),
		cmocka_unit_test(test_refused_envelopes),
		cmocka_unit_test(test_damaged_envelopes),
		cmocka_unit_test(test_content_and_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
