/* Whole sessions: what is said, and what is in the queue afterwards. */
#include "smtpd_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char stranger[] = "198.51.100.7";
static const char friend[] = "127.0.0.1";

struct result {
	struct buf replies, content;
	struct pool *pool;
	struct envelope *envelope; /* of the message that was queued; NULL: none */
};

static struct result run(const char *const *overrides, const char *address, struct str input)
{
	struct smtpd_fixture *f = smtpd_fixture_new(overrides);
	struct result r = {.replies = BUF(1 << 20), .content = BUF(1 << 20), .pool = pool_new(1000)};

	smtpd_dialogue(f, address, input, &r.replies);
	smtpd_take_message(f, r.pool, &r.envelope, &r.content);
	smtpd_fixture_free(&f);
	return r;
}

static struct result say(const char *address, const char *input)
{
	return run(NULL, address, str_c(input));
}

static void forget(struct result *r)
{
	buf_free(&r->replies);
	buf_free(&r->content);
	pool_free(&r->pool);
}

static void has(const struct buf *b, const char *text)
{
	if (!memmem(buf_cstr(b), b->len, text, strlen(text)))
		fail_msg("\"%s\" is not in:\n%s", text, buf_cstr(b));
}

static void has_not(const struct buf *b, const char *text)
{
	if (memmem(buf_cstr(b), b->len, text, strlen(text)))
		fail_msg("\"%s\" is in:\n%s", text, buf_cstr(b));
}

/* ---- one message */

static void test_message(void **state)
{
	struct result r =
		say(friend, "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<user@test>\r\nDATA\r\n"
			    "Subject: x\r\n\r\n..dot\r\nend\r\n.\r\nQUIT\r\n");

	has(&r.replies, "220 mx.test ESMTP\r\n");
	has(&r.replies, "\r\n250 CHUNKING\r\n");
	has(&r.replies, "354 End data with <CR><LF>.<CR><LF>\r\n250 2.0.0 Ok: queued as ");
	has(&r.replies, "221 2.0.0 Bye\r\n");
	assert_non_null(r.envelope);
	assert_string_equal(r.envelope->sender, "a@b.example");
	assert_int_equal(r.envelope->recipient_count, 1);
	assert_string_equal(r.envelope->recipients[0].address, "user@test");
	assert_string_equal(envelope_attribute(r.envelope, "client_address"), friend);
	assert_string_equal(envelope_attribute(r.envelope, "protocol_name"), "ESMTP");
	has(&r.content, "Received: from c.example (unknown [127.0.0.1])\r\n");
	has(&r.content, "\r\n\r\n.dot\r\nend\r\n");
	forget(&r);
}

static void test_dsn_parameters(void **state)
{
	struct result r = say(friend, "EHLO c\r\nMAIL FROM:<a@b.example> RET=HDRS ENVID=a+2Bb\r\n"
				      "RCPT TO:<user@test> NOTIFY=SUCCESS,DELAY "
				      "ORCPT=rfc822;old+2Bname@c.example\r\nDATA\r\nx\r\n.\r\n");

	assert_non_null(r.envelope);
	assert_int_equal(r.envelope->ret, RET_HDRS);
	assert_string_equal(r.envelope->envid, "a+b");
	assert_int_equal(r.envelope->recipients[0].notify, NOTIFY_SUCCESS | NOTIFY_DELAY);
	assert_string_equal(r.envelope->recipients[0].orcpt, "rfc822;old+name@c.example");
	forget(&r);
}

/* What is malformed is refused whole (R010, R011, R175). */
static void test_bad_dsn_parameters(void **state)
{
	static const char *const mail[] = {"ENVID=+", "ENVID=+2", "ENVID=+GG", "ENVID=ab+zz", "ENVID=ab+00cd",
		"ENVID=+0A", "ENVID=", "RET=FOO", "RET=FULL RET=HDRS", "ENVID=a ENVID=b"};
	static const char *const rcpt[] = {"ORCPT=rfc822;+", "ORCPT=rfc822;u+00@y", "ORCPT=utf-8;\\x{}",
		"ORCPT=utf-8;\\x{110000}", "ORCPT=utf-8;\\x{D800}", "ORCPT=utf-8;\\x{00}",
		"ORCPT=utf-8;\\x{FC", "ORCPT=utf-8;\\y{FC}", "ORCPT=foo", "ORCPT=;x",
		"ORCPT=", "NOTIFY=", "NOTIFY=NEVER,DELAY", "NOTIFY=DELAY NOTIFY=DELAY"};
	struct buf input = BUF(10000);
	struct result r;

	buf_puts(&input, "EHLO c\r\n");
	for (size_t i = 0; i < sizeof(mail) / sizeof(mail[0]); i++)
		buf_printf(&input, "MAIL FROM:<a@b.example> %s\r\n", mail[i]);
	r = run((const char *[]){"smtpd_hard_error_limit", "100", NULL}, friend, buf_slice(&input));
	has_not(&r.replies, "250 2.1.0 Ok");
	forget(&r);
	buf_clear(&input);
	buf_puts(&input, "EHLO c\r\nMAIL FROM:<a@b.example>\r\n");
	for (size_t i = 0; i < sizeof(rcpt) / sizeof(rcpt[0]); i++)
		buf_printf(&input, "RCPT TO:<user@test> %s\r\n", rcpt[i]);
	r = run((const char *[]){"smtpd_hard_error_limit", "100", NULL}, friend, buf_slice(&input));
	has_not(&r.replies, "250 2.1.5 Ok");
	forget(&r);
	buf_free(&input);
}

/* ---- who may */

static void test_relaying(void **state)
{
	struct result r = say(stranger,
		"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@elsewhere.example>\r\n"
		"RCPT TO:<x%elsewhere.example@test>\r\nRCPT TO:<\"x@elsewhere.example\"@test>\r\n"
		"RCPT TO:<@test:x@elsewhere.example>\r\nRCPT TO:<user@test>\r\nDATA\r\nx\r\n.\r\n");

	has(&r.replies, "554 5.7.1 <x@elsewhere.example>: Relay access denied\r\n"
			"554 5.7.1 <x%elsewhere.example@test>: Relay access denied\r\n"
			"554 5.7.1 <x@elsewhere.example@test>: Relay access denied\r\n"
			"554 5.7.1 <x@elsewhere.example>: Relay access denied\r\n"
			"250 2.1.5 Ok\r\n");
	assert_non_null(r.envelope);
	assert_int_equal(r.envelope->recipient_count, 1);
	forget(&r);
}

static void test_unknown_user(void **state)
{
	struct result r =
		say(stranger, "HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<nobody@test>\r\nDATA\r\nQUIT\r\n");

	has(&r.replies,
		"550 5.1.1 <nobody@test>: Recipient address rejected: User unknown in local recipient table");
	has(&r.replies, "554 5.5.1 Error: no valid recipients\r\n");
	assert_null(r.envelope);
	forget(&r);
}

static void test_unknown_restriction(void **state)
{
	struct result r =
		run((const char *[]){"smtpd_recipient_restrictions", "permit_everybody, reject", NULL},
			friend, STR("HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<user@test>\r\n"));

	has(&r.replies, "451 4.3.5 Server configuration error");
	forget(&r);
}

/* R218: a failed last chunk ends the transaction. */
static void test_failed_chunk_ends_all(void **state)
{
	struct result r = run((const char *[]){"message_size_limit", "2000", NULL}, friend,
		STR("EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<user@test>\r\nBDAT 2001\r\n"));
	struct buf input = BUF(10000);

	forget(&r);
	buf_puts(&input, "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<user@test>\r\nBDAT 2001 LAST\r\n");
	for (int i = 0; i < 2001; i++)
		buf_putc(&input, 'x');
	buf_puts(&input, "DATA\r\nBDAT 0 LAST\r\nRCPT TO:<user@test>\r\n");
	r = run((const char *[]){"message_size_limit", "2000", NULL}, friend, buf_slice(&input));
	has(&r.replies, "552 5.3.4 Chunk exceeds message size limit\r\n503 5.5.1 Error: need RCPT command\r\n"
			"503 5.5.1 Error: need RCPT command\r\n503 5.5.1 Error: need MAIL command\r\n");
	assert_null(r.envelope);
	forget(&r);
	buf_free(&input);
}

/* Lines are the same whatever the chunks (R110). */
static void test_chunks(void **state)
{
	static const char content[] = "Subject: s\r\n\r\n.dot\r\nlone\rcr\r\nlast line without end";
	struct buf input = BUF(10000);
	size_t n = sizeof(content) - 1;

	for (size_t step = 1; step < 9; step++) {
		struct result r;

		buf_clear(&input);
		buf_puts(&input, "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<user@test>\r\n");
		for (size_t at = 0; at < n; at += step) {
			struct str part = str_first(str_from(str_c(content), at), step);

			buf_printf(&input, "BDAT %zu%s\r\n", part.n, at + part.n == n ? " LAST" : "");
			buf_str(&input, part);
		}
		r = run(NULL, friend, buf_slice(&input));
		assert_non_null(r.envelope);
		has(&r.content, "\r\n\r\n.dot\r\nlone cr\r\nlast line without end\r\n");
		forget(&r);
	}
	buf_free(&input);
}

static void test_bad_bdat(void **state)
{
	static const char *const bad[] = {"BDAT -1", "BDAT +1", "BDAT 0x10", "BDAT", "BDAT 1 FIRST",
		"BDAT 1 LAST x", "BDAT 9999999999999999999", "BDAT 999999999999999999999999999999"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char input[200];
		struct result r;

		snprintf(input, sizeof(input), "EHLO c\r\n%s\r\nNOOP\r\n", bad[i]);
		r = say(friend, input);
		has(&r.replies, "521 5.5.4 Syntax: BDAT count [LAST]\r\n");
		has_not(&r.replies, "250 2.0.0 Ok\r\n");
		forget(&r);
	}
}

/* ---- where a message ends */

static const char smuggled[] =
	"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<user@test>\r\nDATA\r\nSubject: 1\r\n\r\nx%s"
	"MAIL FROM:<evil@b>\r\nRCPT TO:<user@test>\r\nDATA\r\nSubject: 2\r\n\r\ny\r\n.\r\n";

static void test_smuggling(void **state)
{
	static const char *const ends[] = {"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\n.\r",
		"\r\n.\r", "\r\n\001.\r\n", "\r\n. \r\n"};
	static const char *const modes[] = {"normalize", "reject"};

	for (size_t m = 0; m < 2; m++) {
		for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
			char input[500];
			struct result r;

			snprintf(input, sizeof(input), smuggled, ends[i]);
			r = run((const char *[]){"smtpd_forbid_bare_newline", modes[m], NULL}, stranger,
				str_c(input));
			if (r.envelope) {
				assert_string_equal(r.envelope->sender, "a@b");
				has(&r.content, "MAIL FROM:<evil@b>\r\n");
			}
			forget(&r);
		}
	}
}

/* A message is never shared by two transactions: the reject at the end of data ends the first (SECURITY A4).
 */
static void test_reject_at_end(void **state)
{
	struct result r = run((const char *[]){"smtpd_end_of_data_restrictions", "reject", NULL}, friend,
		STR("EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<user@test>\r\nDATA\r\nx\r\n.\r\nRCPT "
		    "TO:<user@test>\r\nDATA\r\n"));

	has(&r.replies, "554 5.7.1 <END-OF-MESSAGE>: End-of-data rejected: Access denied\r\n"
			"503 5.5.1 Error: need MAIL command\r\n503 5.5.1 Error: need RCPT command\r\n");
	assert_null(r.envelope);
	forget(&r);
}

/* ---- commands */

/* A parameter of CRs only (found by fuzzing), and a CR anywhere in a command. */
static void test_stray_cr(void **state)
{
	struct result r = say(friend, "EHLO c\r\nMAIL FROM:<a@b> \r\r\r\nNO\rOP\r\nMAIL FROM:<a@b> \v\r\n");

	has(&r.replies, "500 5.5.2 Error: bad syntax\r\n500 5.5.2 Error: bad syntax\r\n555 5.5.4 Unsupported "
			"option:");
	forget(&r);
}

static void test_nul_and_long_lines(void **state)
{
	struct buf input = BUF(100000);
	struct result r = run(NULL, friend, STR("NO\0OP\r\nMAIL FROM:<a\0b@c>\r\n"));

	has(&r.replies, "500 5.5.2 Error: bad syntax\r\n500 5.5.2 Error: bad syntax\r\n");
	forget(&r);
	buf_puts(&input, "FOO ");
	for (int i = 0; i < 5000; i++)
		buf_putc(&input, 'x');
	buf_puts(&input, "\r\nNOOP\r\n");
	r = run(NULL, friend, buf_slice(&input));
	has(&r.replies, "500 5.5.2 Error: command line too long\r\n250 2.0.0 Ok\r\n");
	forget(&r);
	buf_clear(&input);
	for (int i = 0; i < 90000; i++)
		buf_putc(&input, 'x');
	r = run(NULL, friend, buf_slice(&input));
	has(&r.replies, "521 5.5.2 Error: command line too long\r\n");
	forget(&r);
	buf_free(&input);
}

static void test_too_many_errors(void **state)
{
	struct result r = run((const char *[]){"smtpd_hard_error_limit", "3", NULL}, friend,
		STR("FOO\r\nFOO\r\nFOO\r\nNOOP\r\n"));

	has(&r.replies, "421 4.7.0 mx.test Error: too many errors\r\n");
	has_not(&r.replies, "250");
	forget(&r);
}

static void test_xclient(void **state)
{
	struct result r =
		say(friend, "XCLIENT NAME=c.example ADDR=198.51.100.7 HELO=said PROTO=ESMTP\r\nEHLO c\r\n"
			    "MAIL FROM:<a@b>\r\nRCPT TO:<x@elsewhere.example>\r\nXCLIENT ADDR=127.0.0.1\r\n"
			    "RSET\r\nXCLIENT ADDR=127.0.0.1\r\n");

	has(&r.replies, "554 5.7.1 <x@elsewhere.example>: Relay access denied");
	has(&r.replies, "503 5.5.1 Error: MAIL transaction in progress");
	has(&r.replies, "550 5.7.0 Error: insufficient authorization");
	forget(&r);
}

/* R054: addresses have one form, and what is not one is refused. */
static void test_address_forms(void **state)
{
	static const char *const bad[] = {
		"10.1", "1.2.3.4.5", "256.1.1.1", "IPV6:1.2.3.4", "2001:db8::g", "unix:/x", "[1.2.3.4]"};
	struct buf input = BUF(5000);
	struct result r;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		buf_printf(&input, "XCLIENT ADDR=%s\r\n", bad[i]);
	r = run(NULL, friend, buf_slice(&input));
	has_not(&r.replies, "220 mx.test ESMTP\r\n220");
	has_not(&r.replies, "\r\n220");
	forget(&r);
	r = run((const char *[]){"smtpd_client_restrictions",
			"check_client_access inline:{{2001:db8::1=REJECT short} {10.0.0.1=REJECT mapped} }",
			NULL},
		friend,
		STR("XCLIENT ADDR=IPV6:2001:DB8:0:0::1\r\nHELO c\r\nMAIL FROM:<>\r\nRCPT "
		    "TO:<user@test>\r\n"));
	has(&r.replies, "554 5.7.1 <unknown[2001:db8::1]>: Client host rejected: short");
	forget(&r);
	r = run((const char *[]){"smtpd_client_restrictions",
			"check_client_access inline:{{2001:db8::1=REJECT short} {10.0.0.1=REJECT mapped} }",
			NULL},
		friend,
		STR("XCLIENT ADDR=IPV6:::FFFF:10.0.0.1\r\nHELO c\r\nMAIL FROM:<>\r\nRCPT "
		    "TO:<user@test>\r\n"));
	has(&r.replies, "554 5.7.1 <unknown[10.0.0.1]>: Client host rejected: mapped");
	forget(&r);
	buf_free(&input);
}

/* R049: a bounce has one recipient, whichever stage and command ask. */
static void test_multi_recipient_bounce(void **state)
{
	static const char *const stages[] = {
		"smtpd_recipient_restrictions", "smtpd_data_restrictions", "smtpd_end_of_data_restrictions"};

	for (size_t i = 0; i < 3; i++) {
		const char *const overrides[] = {stages[i], "reject_multi_recipient_bounce", NULL};
		struct result r = run(overrides, friend,
			STR("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<user@test>\r\nBDAT 3 LAST\r\nx\r\n"));

		assert_non_null(r.envelope);
		forget(&r);
		r = run(overrides, friend,
			STR("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<user@test>\r\nRCPT "
			    "TO:<postmaster@test>\r\nDATA\r\nx\r\n.\r\n"));
		has(&r.replies, "550 5.5.3 <");
		forget(&r);
	}
}

/* R050: no limit is no limit. */
static void test_no_size_limit(void **state)
{
	struct result r = run((const char *[]){"message_size_limit", "0", NULL}, friend,
		STR("EHLO c\r\nMAIL FROM:<a@b> SIZE=9999999\r\nRCPT TO:<user@test>\r\nBDAT 3 LAST\r\nx\r\n"));

	has(&r.replies, "250-SIZE\r\n");
	assert_non_null(r.envelope);
	forget(&r);
}

static void test_effects(void **state)
{
	static const char *const overrides[] = {"smtpd_recipient_restrictions",
		"check_sender_access inline:{{a@b=BCC copy@test} }, check_recipient_access "
		"inline:{{user@test=HOLD} }, "
		"check_client_access inline:{{127.0.0.1=PREPEND X-Test: yes} }",
		NULL};
	struct result r = run(overrides, friend,
		STR("EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<user@test>\r\nDATA\r\nSubject: "
		    "x\r\n\r\ny\r\n.\r\n"));

	assert_non_null(r.envelope);
	assert_int_equal(r.envelope->recipient_count, 2);
	assert_string_equal(r.envelope->recipients[1].address, "copy@test");
	assert_int_equal(strncmp(buf_cstr(&r.content), "X-Test: yes\r\nReceived: ", 23), 0);
	forget(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_dsn_parameters),
		cmocka_unit_test(test_bad_dsn_parameters),
		cmocka_unit_test(test_relaying),
		cmocka_unit_test(test_unknown_user),
		cmocka_unit_test(test_unknown_restriction),
		cmocka_unit_test(test_failed_chunk_ends_all),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_bad_bdat),
		cmocka_unit_test(test_smuggling),
		cmocka_unit_test(test_reject_at_end),
		cmocka_unit_test(test_stray_cr),
		cmocka_unit_test(test_nul_and_long_lines),
		cmocka_unit_test(test_too_many_errors),
		cmocka_unit_test(test_xclient),
		cmocka_unit_test(test_effects),
		cmocka_unit_test(test_address_forms),
		cmocka_unit_test(test_multi_recipient_bounce),
		cmocka_unit_test(test_no_size_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
