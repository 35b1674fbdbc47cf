#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "cleanup_fixture.h"

static int setup(void **state)
{
	struct fixture *f;

	if (fixture_setup(state) != 0)
		return -1;
	f = *state;
	f->cfg.mime_nesting_limit = 100;
	f->cfg.mime_boundary_length_limit = 2048;
	f->cfg.body_checks_size_limit = 51200;
	return 0;
}

static const char tables[] =
	"regexp:{{/^X-Ignore|^ignore/ IGNORE} {/^X-Strip|^strip/ strip why}"
	" {/^X-Prepend|^prepend/ PREPEND A: before} {/^X-Replace|^replace/ REPLACE B: (other)}"
	" {/^X-Bad-Prepend/ PREPEND no header} {/^X-Bad-Replace/ REPLACE} {/^X-Foo/ FOO bar}"
	" {/^X-Hold/ HOLD} {/^X-Discard/ DISCARD} {/^X-Pass/ PASS} {/^X-Warn/ WARN w}"
	" {/^X-Reject|^reject/ REJECT 5.7.9 not here} {/^X-Plain/ REJECT} {/^X-Later/ REJECT 4.7.1 later}"
	" {/^X-Filter: (.*)/ FILTER f:$1} {/^X-Redirect/ REDIRECT other@example.com}"
	" {/^X-Bcc/ BCC copy@example.com} {/^X-Bad-Address/ REDIRECT nobody}"
	" {/^X-Folded: a.b.c$/ IGNORE} {/^Y-/ DUNNO}}";

static void use_tables(struct fixture *f)
{
	f->cfg.header_checks = f->cfg.mime_header_checks = f->cfg.nested_header_checks = tables;
	f->cfg.body_checks = tables;
	reopen_env(f);
}

static const struct {
	const char *given, *kept;
} kept[] = {
	{"X-Ignore: 1\nY: 1\n\nx\n", "Y: 1\r\n\r\nx\r\n"},
	{"X-Strip: 1\n\nx\nstrip\ny\n", "\r\nx\r\ny\r\n"},
	{"X-Prepend: 1\n\nprepend\n", "A: before\r\nX-Prepend: 1\r\n\r\nA: before\r\nprepend\r\n"},
	{"X-Replace: 1\n\nreplace\n", "B: (other)\r\n\r\nB: (other)\r\n"},
	{"X-Bad-Prepend: 1\nX-Bad-Replace: 1\nX-Foo: 1\nX-Bad-Address: x\n\n",
		"X-Bad-Prepend: 1\r\nX-Bad-Replace: 1\r\nX-Foo: 1\r\nX-Bad-Address: x\r\n\r\n"},
	{"X-Pass: 1\nX-Ignore: 1\n\nignore\n", "X-Pass: 1\r\nX-Ignore: 1\r\n\r\nignore\r\n"},
	{"X-Folded: a\n\tb\n c\n\n", "X-Folded: a\r\n\tb\r\n c\r\n\r\n"},
	{"X-Folded: a\n\tb\nZ: 1\n\n", "X-Folded: a\r\n\tb\r\nZ: 1\r\n\r\n"},
	{"Content-Type: message/rfc822\n\nX-Ignore: 1\nZ : 2\n\nignore\n",
		"Content-Type: message/rfc822\r\n\r\nZ: 2\r\n\r\n"},
	{"Content-Type: multipart/mixed; boundary=b\n\n--b\nX-Ignore: 1\n\nx\n--b\nno header\n",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\nno header\r\n"},
	{"Content-Type: multipart/mixed; boundary=b\n\n--b\nX-Replace: 1\n",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nB: (other)\r\n"},
};

static void test_lines(void **state)
{
	struct fixture *f = *state;

	use_tables(f);
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
		send_text(f, false, kept[i].given);
		expect_content(f, kept[i].kept);
	}
}

static void expect_refusal(struct fixture *f, const char *text, const char *dsn, const char *reason)
{
	send_text(f, false, text);
	assert_int_equal(f->result.status, CLEANUP_REJECTED);
	assert_string_equal(f->result.dsn, dsn);
	assert_string_equal(f->text, reason);
}

static void test_reject(void **state)
{
	struct fixture *f = *state;

	use_tables(f);
	expect_refusal(f, "X-Reject: 1\n\nx\n", "5.7.9", "not here");
	expect_refusal(f, "X-Plain: 1\n\nx\n", "5.7.1", "message content rejected");
	expect_refusal(f, "X-Later: 1\n\nx\n", "4.7.1", "later");
	expect_refusal(f, "A: 1\n\nreject\n", "5.7.9", "not here");
	expect_refusal(f, "A: 1\nX-Reject: at the end\n", "5.7.9", "not here");
}

static void test_envelope(void **state)
{
	struct fixture *f = *state;

	use_tables(f);
	send_text(f, false, "X-Filter: a\nX-Filter: b\nX-Bcc: 1\nX-Bcc: 2\n\nx\n");
	assert_string_equal(envelope_attribute(f->envelope, "content_filter"), "f:b");
	assert_int_equal(f->envelope->recipient_count, 2);
	assert_string_equal(f->envelope->recipients[1].address, "copy@example.com");
	assert_int_equal(f->envelope->recipients[1].notify, NOTIFY_NEVER);
	send_text(f, false, "X-Redirect: 1\nX-Reject: 1\n\nx\n");
	assert_int_equal(f->envelope->recipient_count, 1);
	assert_string_equal(f->envelope->recipients[0].address, "other@example.com");
}

static void test_hold_and_discard(void **state)
{
	struct fixture *f = *state;
	struct cleanup *c;

	use_tables(f);
	c = begin(f, false);
	cleanup_recipient(c, "user@example.com", NULL, NULL, 0);
	add_text(c, "X-Hold: 1\nX-Hold: 2\n\nx\n");
	cleanup_end(&c, &f->result, f->text, sizeof(f->text));
	assert_int_equal(f->result.status, CLEANUP_OK);
	assert_int_equal(
		spool_load(f->spool, QUEUE_HOLD, &f->id, f->pool, &f->envelope, &(struct err){""}), SPOOL_OK);
	c = begin(f, false);
	cleanup_recipient(c, "user@example.com", NULL, NULL, 0);
	add_text(c, "X-Discard: 1\nX-Reject: 2\n\nx\n");
	cleanup_end(&c, &f->result, f->text, sizeof(f->text));
	assert_int_equal(f->result.status, CLEANUP_OK);
	assert_int_not_equal(
		spool_load(f->spool, QUEUE_INCOMING, &f->id, f->pool, &f->envelope, &(struct err){""}),
		SPOOL_OK);
}

static void test_override(void **state)
{
	struct fixture *f = *state;

	f->cfg.receive_override_options = "no_header_body_checks";
	f->cfg.strict_8bitmime = true;
	use_tables(f);
	send_text(f, false, "X-Reject: \344\n\nreject\n");
	expect_content(f, "X-Reject: \344\r\n\r\nreject\r\n");
}

static void test_table_trouble(void **state)
{
	struct fixture *f = *state;

	f->cfg.header_checks = "regexp:/nonexistent";
	reopen_env(f);
	send_text(f, false, "A: 1\n\nx\n");
	assert_int_equal(f->result.status, CLEANUP_TROUBLE);
}

static void test_body_size(void **state)
{
	struct fixture *f = *state;

	f->cfg.body_checks_size_limit = 10;
	use_tables(f);
	send_text(f, false, "A: 1\n\n1234567\nignore\n");
	expect_content(f, "A: 1\r\n\r\n1234567\r\n");
	send_text(f, false, "A: 1\n\n12345678\nignore\n");
	expect_content(f, "A: 1\r\n\r\n12345678\r\nignore\r\n");
	f->cfg.body_checks_size_limit = 0;
	use_tables(f);
	send_text(f, false, "A: 1\n\n12345678\nignore\n");
	expect_content(f, "A: 1\r\n\r\n12345678\r\n");
}

#define IN_HEADER "improper use of 8-bit data in message header"
#define IN_BODY "improper use of 8-bit data in message body"
#define ENCODING "invalid message/* or multipart/* encoding domain"

static void test_strict(void **state)
{
	struct fixture *f = *state;

	f->cfg.strict_8bitmime = f->cfg.strict_mime_encoding_domain = true;
	reopen_env(f);
	expect_refusal(f, "A: \344\n\nx\n", "5.6.0", IN_HEADER);
	expect_refusal(f, "A: x\n\n\344\n", "5.6.0", IN_BODY);
	expect_refusal(f, "Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\nA: b\n\n\344\n",
		"5.6.0", IN_BODY);
	expect_refusal(
		f, "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n", "5.6.0", ENCODING);
	send_text(f, false, "Content-Transfer-Encoding: 8bit\n\n\344\n");
	assert_int_equal(f->result.status, CLEANUP_OK);
	f->cfg.disable_mime_input_processing = true;
	reopen_env(f);
	send_text(f, false, "A: \344\n\n\344\n");
	assert_int_equal(f->result.status, CLEANUP_OK);
}

static void test_nesting(void **state)
{
	static const char text[] = "Content-Type: multipart/mixed; boundary=1; boundary=2; boundary=3\n\nx\n";
	struct fixture *f = *state;

	f->cfg.mime_nesting_limit = 0;
	f->cfg.body_checks = tables;
	reopen_env(f);
	send_text(f, false, text);
	assert_int_equal(f->result.status, CLEANUP_OK);
	use_tables(f);
	expect_refusal(f, text, "5.6.0", "MIME nesting exceeds safety limit");
}

static void test_detect_8bit(void **state)
{
	struct fixture *f = *state;

	send_text(f, false, "Content-Transfer-Encoding: 8bit\n\nx\n");
	assert_null(envelope_attribute(f->envelope, "body"));
	f->cfg.detect_8bit_encoding_header = true;
	reopen_env(f);
	send_text(f, false, "Content-Transfer-Encoding: 8bit\n\nx\n");
	assert_string_equal(envelope_attribute(f->envelope, "body"), "8BITMIME");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lines, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_reject, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_envelope, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_hold_and_discard, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_override, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_table_trouble, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_body_size, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_strict, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_nesting, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_detect_8bit, setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
