#include "base/clock.h"
#include "mail/dsn.h"
#include "mail/event.h"
#include "mail/queue_id.h"
#include "mail/received.h"
#include "mail/smtp_text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_status_length(void **state)
{
	assert_int_equal(dsn_status_length(STR("5.1.1 no user")), 5);
	assert_int_equal(dsn_status_length(STR("4.400.123")), 9);
	assert_int_equal(dsn_status_length(STR("5.1.1x")), 0);
	assert_int_equal(dsn_status_length(STR("3.1.1")), 0);
	assert_int_equal(dsn_status_length(STR("5.1")), 0);
	assert_int_equal(dsn_status_length(STR("5.1234.1")), 0);
	assert_int_equal(dsn_status_length(STR("")), 0);
}

static void test_dsn_is_one_line(void **state)
{
	struct pool *pool = pool_new(256);
	struct dsn *d = dsn_make(pool, DSN_FAILED, "5.1.1", "a%sb", "\r\n");

	assert_string_equal(d->reason, "a  b");
	assert_string_equal(dsn_log_status(d), "bounced");
	pool_free(&pool);
}

static void test_notify(void **state)
{
	char out[32];
	int bits = 0;

	assert_true(dsn_parse_notify(STR("success,FAILURE"), &bits));
	assert_int_equal(bits, NOTIFY_SUCCESS | NOTIFY_FAILURE);
	assert_string_equal(dsn_format_notify(bits, out), "SUCCESS,FAILURE");
	assert_true(dsn_parse_notify(STR("NEVER"), &bits));
	assert_false(dsn_parse_notify(STR("NEVER,DELAY"), &bits));
	assert_true(dsn_parse_notify(STR("DELAY,delay,"), &bits));
	assert_int_equal(bits, NOTIFY_DELAY);
	assert_false(dsn_parse_notify(STR(""), &bits));
	assert_false(dsn_parse_notify(STR(","), &bits));
	assert_false(dsn_parse_notify(STR("SUCCESS,SOON"), &bits));
}

static void test_seconds(void **state)
{
	static const struct {
		int64_t us;
		const char *text;
	} cases[] = {{0, "0"}, {4000, "0"}, {10000, "0.01"}, {123456, "0.12"}, {100000, "0.1"},
		{1234567, "1.2"}, {12345678, "12"}, {123456789, "123"}, {-5, "0"}, {9999999, "10"}};
	char out[24];

	event_set_resolution(2);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(event_format_seconds(cases[i].us, out, sizeof(out)), cases[i].text);
}

static void test_queue_ids(void **state)
{
	uint64_t number = UINT64_C(1795155990123456) / QUEUE_ID_STEP * QUEUE_ID_STEP;
	struct queue_id s = queue_id_make(number, false), l = queue_id_make(number, true);

	assert_true(queue_id_valid(str_c(s.text)) && queue_id_valid(str_c(l.text)));
	assert_int_equal(queue_id_number(&s), number);
	assert_int_equal(queue_id_number(&l), number);
	assert_true(strlen(l.text) >= 12);
	assert_false(queue_id_valid(STR("../../etc/passwd")));
	assert_false(queue_id_valid(STR("ABC")));
	assert_false(queue_id_valid(STR("AAAAAAAAAAAAAAAAAAAAAAAAA")));
}

static void test_replies(void **state)
{
	struct smtp_reply r;

	assert_int_equal(smtp_reply_parse(STR("250-a\r\n250 2.1.0 ok\r\nnext"), &r), 21);
	assert_int_equal(r.code, 250);
	assert_int_equal(r.lines, 2);
	assert_string_equal(r.status, "2.1.0");
	assert_string_equal(r.text, "250-a\n250 2.1.0 ok");
	smtp_reply_free(&r);
	assert_int_equal(smtp_reply_parse(STR("250-a\r\n250"), &r), 0);
	assert_int_equal(smtp_reply_parse(STR("hello\r\n"), &r), 7);
	assert_int_equal(r.code, NO_REPLY);
	smtp_reply_free(&r);
	assert_int_equal(smtp_reply_parse(STR("000 x\r\n"), &r), 7);
	assert_int_equal(r.code, 0);
	smtp_reply_free(&r);
	assert_int_equal(smtp_reply_parse(STR("550   5.1.1   no\r\r\n"), &r), 19);
	assert_string_equal(r.status, "5.1.1");
	assert_string_equal(r.text, "550   5.1.1   no");
	smtp_reply_free(&r);
	/* A status of another class than the code does not count; bytes of the peer are made printable. */
	assert_int_equal(smtp_reply_parse(STR("550 2.1.0 \001\377\n"), &r), 13);
	assert_string_equal(r.status, "");
	assert_string_equal(r.text, "550 2.1.0 ?"
				    "?");
	smtp_reply_free(&r);
	assert_int_equal(smtp_reply_parse(STR("250\n"), &r), 4);
	assert_int_equal(r.code, 250);
	smtp_reply_free(&r);
}

static void test_parameters(void **state)
{
	struct str rest = STR(" SIZE=100  BODY=8BITMIME SMTPUTF8"), k, v;

	assert_int_equal(smtp_next_parameter(&rest, &k, &v), 1);
	assert_true(str_is(k, "SIZE") && str_is(v, "100"));
	assert_int_equal(smtp_next_parameter(&rest, &k, &v), 1);
	assert_true(str_is(k, "BODY") && str_is(v, "8BITMIME"));
	assert_int_equal(smtp_next_parameter(&rest, &k, &v), 1);
	assert_true(str_is(k, "SMTPUTF8") && v.p == NULL);
	assert_int_equal(smtp_next_parameter(&rest, &k, &v), 0);
	rest = STR(" =x");
	assert_int_equal(smtp_next_parameter(&rest, &k, &v), -1);
}

static void test_received(void **state)
{
	struct received r = {.helo = "client.example",
		.client_name = "unknown",
		.client_address = "192.0.2.1",
		.my_name = "mail.example",
		.mail_name = "Postern",
		.protocol = "ESMTP",
		.queue_id = "ABCDEF",
		.for_recipient = "a b@example.com",
		.uid = -1,
		.when_us = INT64_C(1795155990) * US_PER_SEC};
	struct buf out = BUF(1000);

	received_format(&r, &out);
	assert_non_null(strstr(buf_cstr(&out), "Received: from client.example (unknown [192.0.2.1])\r\n\tby "
					       "mail.example (Postern) with ESMTP id ABCDEF\r\n"
					       "\tfor <\"a b\"@example.com>; "));
	assert_true(str_ends(buf_slice(&out), STR("\r\n")));
	buf_clear(&out);
	r.helo = NULL;
	r.protocol = NULL;
	r.for_recipient = NULL;
	r.uid = 1000;
	received_format(&r, &out);
	assert_true(str_starts(buf_slice(&out),
		STR("Received: by mail.example (Postern, from userid 1000)\r\n\tid ABCDEF; ")));
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_length),
		cmocka_unit_test(test_dsn_is_one_line),
		cmocka_unit_test(test_notify),
		cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_queue_ids),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_received),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
