#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "cleanup_fixture.h"

static void test_simple(void **state)
{
	struct fixture *f = *state;
	char wanted[64];

	send_text(f, false, "Subject: x\nMessage-Id: <1@x>\n\nbody\n");
	expect_content(f, "Subject: x\r\nMessage-Id: <1@x>\r\n\r\nbody\r\n");
	snprintf(wanted, sizeof(wanted), "Ok: queued as %s", f->id.text);
	assert_string_equal(f->text, wanted);
	assert_string_equal(f->result.dsn, "2.0.0");
	assert_string_equal(f->envelope->sender, "sender@example.org");
	assert_int_equal(f->envelope->recipient_count, 1);
	assert_string_equal(f->envelope->recipients[0].address, "user@example.com");
	assert_string_equal(envelope_attribute(f->envelope, "message_id"), "<1@x>");
	assert_string_equal(envelope_attribute(f->envelope, "rewrite_context"), "remote");
	assert_int_equal(f->envelope->flags, 0);
}

struct content_case {
	const char *given, *kept;
	int flags;
};

/* Where the header ends, what is dropped, what is noted. */
static const struct content_case content_cases[] = {
	{"A: 1\nB: 2\n", "A: 1\r\nB: 2\r\n", 0},
	{"A: 1\n\nbody\n", "A: 1\r\n\r\nbody\r\n", 0},
	{"\nbody\n", "\r\nbody\r\n", 0},
	{"body\n", "\r\nbody\r\n", 0},
	{"A: 1\nbody\n\nmore\n", "A: 1\r\n\r\nbody\r\n\r\nmore\r\n", 0},
	{"A: 1\n folded\n\tagain\n\n", "A: 1\r\n folded\r\n\tagain\r\n\r\n", 0},
	{"A: 1\n   \nB: 2\n\n", "A: 1\r\n   \r\nB: 2\r\n\r\n", 0},
	{" leading\nA: 1\n", "\r\n leading\r\nA: 1\r\n", 0},
	{"Foo bar: baz\nA: 1\n", "\r\nFoo bar: baz\r\nA: 1\r\n", 0},
	{"A: 1\nFrom x Fri Nov 20\nB: 2\n", "A: 1\r\n\r\nFrom x Fri Nov 20\r\nB: 2\r\n", 0},
	{"A: 1\nB\001: 2\nC: 3\n", "A: 1\r\n\r\nB\001: 2\r\nC: 3\r\n", 0},
	{"A: 1\nB\xe4: 2\n\n", "A: 1\r\n\r\nB\xe4: 2\r\n\r\n", ENVELOPE_8BIT},
	{"A : 1\n\n", "A: 1\r\n\r\n", 0},
	{"From x Fri Nov 20\n>From y\nA: 1\nFrom z\n",
		"X-Mailbox-Line: From x Fri Nov 20\r\nX-Mailbox-Line: >From y\r\nA: 1\r\n\r\nFrom z\r\n", 0},
	{"From: x\nFrom y\n", "From: x\r\n\r\nFrom y\r\n", 0},
	{": 1\n\n", "\r\n: 1\r\n\r\n", 0},
	{"Bcc: a@b\nA: 1\nRETURN-PATH: <x>\nContent-Length: 3\n\n", "A: 1\r\n\r\n", 0},
	{"Bcc: a@b,\n c@d\nA: 1\n\n", "A: 1\r\n\r\n", 0},
	{"A: 1\n\nBcc: a@b\n", "A: 1\r\n\r\nBcc: a@b\r\n", 0},
	{"A: \xe4\n\n", "A: \xe4\r\n\r\n", ENVELOPE_8BIT},
	{"A: 1\n\n.dot\n", "A: 1\r\n\r\n.dot\r\n", ENVELOPE_DOTS},
	{"A: 1\n\nx.dot\n", "A: 1\r\n\r\nx.dot\r\n", 0},
	{"A: 1\n\n0123456789abcde\x80\n", "A: 1\r\n\r\n0123456789abcde\x80\r\n", ENVELOPE_8BIT},
};

static void test_content(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(content_cases) / sizeof(*content_cases); i++) {
		send_text(f, false, content_cases[i].given);
		expect_content(f, content_cases[i].kept);
		assert_int_equal(f->envelope->flags, content_cases[i].flags);
	}
}

static void test_partial_lines(void **state)
{
	struct fixture *f = *state;
	struct cleanup *c = begin(f, false);
	char piece[600];

	memset(piece, 'x', sizeof(piece));
	cleanup_sender(c, "", NULL, RET_NONE, 0);
	cleanup_recipient(c, "user@example.com", NULL, NULL, 0);
	cleanup_line(c, STR("A: be"), true);
	cleanup_line(c, STR(" gin"), true);
	cleanup_line(c, STR(""), false);
	cleanup_line(c, STR(""), false);
	cleanup_line(c, (struct str){piece, sizeof(piece)}, true);
	cleanup_line(c, STR("."), true);
	cleanup_line(c, (struct str){piece, sizeof(piece)}, true);
	end(f, c);
	assert_int_equal(f->result.status, CLEANUP_OK);
	assert_int_equal(f->content.len, 13 + 601 + 600 + 2);
	assert_memory_equal(f->content.data, "A: be gin\r\n\r\nxxx", 16);
	assert_memory_equal(f->content.data + f->content.len - 3, "x\r\n", 3);
	assert_int_equal(f->envelope->flags, ENVELOPE_LONG_LINES);
}

static void test_header_limit(void **state)
{
	struct fixture *f = *state;

	f->cfg.header_size_limit = 10;
	reopen_env(f);
	send_text(f, false, "A: 1234567890\nB: 1\n folded beyond\n dropped\nC: 3\n\nbody is longer\n");
	expect_content(f, "A: 1234567\r\nB: 1\r\n fold\r\nC: 3\r\n\r\nbody is longer\r\n");
}

static void test_prepend(void **state)
{
	struct fixture *f = *state;
	struct cleanup *c = begin(f, false);

	cleanup_sender(c, "", NULL, RET_NONE, 0);
	cleanup_recipient(c, "user@example.com", NULL, NULL, 0);
	cleanup_prepend(c, STR("Received: from x\r\n\tby y; z\r\nX-Extra: 1\r\n"));
	add_text(c, "body without headers\n");
	end(f, c);
	expect_content(f, "Received: from x\r\n\tby y; z\r\nX-Extra: 1\r\n\r\nbody without headers\r\n");
}

static void test_too_big(void **state)
{
	struct fixture *f = *state;

	f->cfg.message_size_limit = 100;
	reopen_env(f);
	send_text(f, false, "A: 1\n\n012345678901234567890123456789012345678901234567890123456789\n");
	assert_int_equal(f->result.status, CLEANUP_OK);
	send_text(f, false,
		"A: "
		"1\n\n0123456789012345678901234567890123456789012345678901234567890123456789\n012345678901234"
		"56789\n");
	assert_int_equal(f->result.status, CLEANUP_TOO_BIG);
	assert_string_equal(f->result.dsn, "5.3.4");
	assert_string_equal(f->text, "Error: message file too big");
	send_text(f, false,
		"A: 0123456789012345678901234567890123456789\n 0123456789012345678901234567890123456789\n"
		" 0123456789012345678901234567890123456789\n");
	assert_int_equal(f->result.status, CLEANUP_TOO_BIG);
}

static void test_hops(void **state)
{
	struct fixture *f = *state;

	f->cfg.hopcount_limit = 3;
	reopen_env(f);
	send_text(f, false, "Received: 1\nreceived: 2\n\nReceived: 3\n");
	assert_int_equal(f->result.status, CLEANUP_OK);
	send_text(f, false, "Received: 1\nReceived: 2\nRECEIVED: 3\n\n");
	assert_int_equal(f->result.status, CLEANUP_HOPS);
	assert_string_equal(f->result.dsn, "5.4.0");
	assert_string_equal(f->text, "Error: too many hops");
}

static void test_characters(void **state)
{
	struct fixture *f = *state;
	struct cleanup *c;
	struct err err = {""};

	f->cfg.message_strip_characters = "\\0\\x";
	resolver_free(&f->resolver);
	cleanup_env_free(&f->env);
	assert_null(cleanup_env_new(&f->cfg, f->spool, NULL, NULL, &err));
	f->cfg.message_strip_characters = "\\0\\101";
	f->cfg.message_reject_characters = "\\033";
	open_env(f);
	c = begin(f, false);
	cleanup_sender(c, "", NULL, RET_NONE, 0);
	cleanup_recipient(c, "user@example.com", NULL, NULL, 0);
	cleanup_line(c, STR("Subject: a\0b"), false);
	cleanup_line(c, STR(""), false);
	cleanup_line(c, STR("xAx\0"), false);
	end(f, c);
	expect_content(f, "Subject: ab\r\n\r\nxx\r\n");
	send_text(f, false, "Subject: 1\n\nescape \033 here\n");
	assert_int_equal(f->result.status, CLEANUP_REJECTED);
	assert_string_equal(f->text, "disallowed character");
}

static void test_nul_is_kept(void **state)
{
	struct fixture *f = *state;
	struct cleanup *c = begin(f, false);

	cleanup_sender(c, "", NULL, RET_NONE, 0);
	cleanup_recipient(c, "user@example.com", NULL, NULL, 0);
	cleanup_line(c, STR("Message-Id: <a\0b>"), false);
	cleanup_line(c, STR(""), false);
	cleanup_line(c, STR("\0"), false);
	end(f, c);
	assert_int_equal(f->content.len, 17 + 2 + 2 + 3);
	assert_string_equal(envelope_attribute(f->envelope, "message_id"), "<a?b>");
}

static void test_recipients(void **state)
{
	struct fixture *f = *state;
	struct cleanup *c = begin(f, false);

	cleanup_sender(c, "postmaster", "envid", RET_HDRS, ENVELOPE_SMTPUTF8);
	cleanup_recipient(c, "user", NULL, "rfc822;first", NOTIFY_FAILURE);
	cleanup_recipient(c, "USER", NULL, "rfc822;first", NOTIFY_FAILURE);
	cleanup_recipient(c, "user@example.com", NULL, NULL, 0);
	cleanup_recipient(c, "user@example.com", NULL, NULL, 0);
	cleanup_recipient(c, "User@Example.Com", NULL, NULL, 0);
	cleanup_recipient(c, "", NULL, NULL, 0);
	assert_int_equal(cleanup_recipient_count(c), 3);
	add_text(c, "A: 1\n\n");
	end(f, c);
	assert_int_equal(f->result.status, CLEANUP_OK);
	assert_string_equal(f->envelope->sender, "postmaster@example.com");
	assert_string_equal(f->envelope->envid, "envid");
	assert_int_equal(f->envelope->ret, RET_HDRS);
	assert_int_equal(f->envelope->flags, ENVELOPE_SMTPUTF8);
	assert_string_equal(f->envelope->recipients[0].address, "user@example.com");
	assert_string_equal(f->envelope->recipients[0].original, "user");
	assert_string_equal(f->envelope->recipients[0].orcpt, "rfc822;first");
	assert_int_equal(f->envelope->recipients[0].notify, NOTIFY_FAILURE);
	assert_null(f->envelope->recipients[1].original);
	assert_null(f->envelope->recipients[1].orcpt);
	assert_string_equal(f->envelope->recipients[2].address, "MAILER-DAEMON@example.com");
}

static void test_without_original(void **state)
{
	struct fixture *f = *state;
	struct cleanup *c;

	f->cfg.enable_original_recipient = false;
	reopen_env(f);
	c = begin(f, false);
	cleanup_sender(c, "", NULL, RET_NONE, 0);
	cleanup_recipient(c, "user", NULL, NULL, 0);
	cleanup_recipient(c, "user@example.com", NULL, NULL, 0);
	end(f, c);
	assert_int_equal(f->envelope->recipient_count, 1);
	assert_string_equal(f->envelope->recipients[0].original, "user"); /* for the log */
}

static void test_duplicate_limit(void **state)
{
	struct fixture *f = *state;
	struct cleanup *c;

	f->cfg.duplicate_filter_limit = 1;
	reopen_env(f);
	c = begin(f, false);
	for (int i = 0; i < 2; i++) {
		cleanup_recipient(c, "a@x.org", NULL, NULL, 0);
		cleanup_recipient(c, "b@x.org", NULL, NULL, 0);
	}
	assert_int_equal(cleanup_recipient_count(c), 3);
	cleanup_abort(&c);
	assert_null(c);
	cleanup_abort(&c);
}

static void test_no_recipients(void **state)
{
	struct fixture *f = *state;
	struct cleanup *c = begin(f, false);

	cleanup_sender(c, "", NULL, RET_NONE, 0);
	add_text(c, "A: 1\n\n");
	end(f, c);
	assert_int_equal(f->result.status, CLEANUP_NO_RECIPIENTS);
	assert_string_equal(f->result.dsn, "5.1.0");
}

static void test_attribute_limit(void **state)
{
	struct fixture *f = *state;
	struct cleanup *c;

	f->cfg.queue_file_attribute_count_limit = 2;
	reopen_env(f);
	c = begin(f, false);
	cleanup_recipient(c, "a@x.org", NULL, NULL, 0);
	cleanup_attribute(c, "client_name", "x");
	cleanup_attribute(c, "helo_name", NULL);
	cleanup_attribute(c, "client_address", "192.0.2.1");
	add_text(c, "A: 1\n\n");
	end(f, c);
	assert_int_equal(f->result.status, CLEANUP_OK);
	assert_string_equal(envelope_attribute(f->envelope, "client_address"), "192.0.2.1");
	assert_null(envelope_attribute(f->envelope, "helo_name"));
	c = begin(f, false);
	cleanup_recipient(c, "a@x.org", NULL, NULL, 0);
	for (int i = 0; i < 3; i++)
		cleanup_attribute(c, "x", "x");
	add_text(c, "A: 1\nMessage-Id: <x>\n\nbody\n");
	end(f, c);
	assert_int_equal(f->result.status, CLEANUP_TROUBLE);
}

static void test_missing_headers(void **state)
{
	struct fixture *f = *state;

	send_text(f, true, "Subject: x\n\nbody\n");
	assert_true(has(f, "Subject: x\r\nMessage-Id: <"));
	assert_true(has(f, "@mail.example.com>\r\nDate: "));
	assert_true(has(f, "\r\nFrom: sender@example.org\r\n\r\nbody\r\n"));
	assert_non_null(envelope_attribute(f->envelope, "message_id"));
	assert_string_equal(envelope_attribute(f->envelope, "rewrite_context"), "local");
	send_text(f, true, "from: a@b\ndate: now\nmessage-ID: <x>\n\n");
	expect_content(f, "from: a@b\r\ndate: now\r\nmessage-ID: <x>\r\n\r\n");
	send_text(f, true, "From: a@b\nDate: now\nMessage-Id: <x>\nResent-To: x@y\n\n");
	assert_true(has(f, "Resent-Message-Id: <"));
	assert_true(has(f, "Resent-Date: "));
	assert_true(has(f, "Resent-From: sender@example.org\r\n"));
	send_text(f, true, "Subject: only headers\n");
	assert_true(has(f, "From: sender@example.org\r\n"));
	f->cfg.undisclosed_recipients_header = "To: undisclosed-recipients:;";
	f->cfg.always_add_missing_headers = true;
	reopen_env(f);
	send_text(f, false, "\nbody\n");
	assert_true(has(f, "From: sender@example.org\r\nTo: undisclosed-recipients:;\r\n\r\nbody\r\n"));
	send_text(f, false, "Cc: x@y\n\nbody\n");
	assert_false(has(f, "undisclosed"));
}

struct name_case {
	const char *name, *sender, *format, *from;
};

static const struct name_case name_cases[] = {
	{"Joe User", "joe@x.org", "standard", "From: Joe User <joe@x.org>\r\n"},
	{"Joe Q. \"User\"", "joe@x.org", "standard", "From: \"Joe Q. \\\"User\\\"\" <joe@x.org>\r\n"},
	{"Joe (User)", "joe@x.org", "obsolete", "From: joe@x.org (Joe \\(User\\))\r\n"},
	{"J\303\244 (x)", "joe@x.org", "standard", "From: =?utf-8?Q?J=C3=A4_=28x=29?= <joe@x.org>\r\n"},
	{"J\303\244 (x)", "joe@x.org", "obsolete", "From: joe@x.org (=?utf-8?Q?J=C3=A4_=28x=29?=)\r\n"},
	{"   ", "joe@x.org", "standard", "From: joe@x.org\r\n"},
	{"", "joe@x.org", "standard", "From: joe@x.org\r\n"},
	{"Joe\nBcc: x\r\n", "joe@x.org", "standard", "From: \"Joe Bcc: x\" <joe@x.org>\r\n"},
	{"Joe", "a b@x.org", "standard", "From: Joe <\"a b\"@x.org>\r\n"},
	{"Joe", "", "standard", "From: MAILER-DAEMON\r\n"},
};

static void test_full_name(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(name_cases) / sizeof(*name_cases); i++) {
		struct cleanup *c;

		f->cfg.header_from_format = name_cases[i].format;
		reopen_env(f);
		c = begin(f, true);
		cleanup_sender(c, name_cases[i].sender, NULL, RET_NONE, 0);
		cleanup_recipient(c, "user@example.com", NULL, NULL, 0);
		cleanup_attribute(c, "full_name", name_cases[i].name);
		add_text(c, "A: 1\n\n");
		end(f, c);
		if (!has(f, name_cases[i].from))
			fail_msg("%s: %s", name_cases[i].from, buf_cstr(&f->content));
	}
}

static void test_long_full_name(void **state)
{
	struct fixture *f = *state;
	struct cleanup *c = begin(f, true);
	char name[10001];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	cleanup_sender(c, "joe@x.org", NULL, RET_NONE, 0);
	cleanup_recipient(c, "user@example.com", NULL, NULL, 0);
	cleanup_attribute(c, "full_name", name);
	add_text(c, "A: 1\n\n");
	end(f, c);
	assert_true(has(f, "nnn <joe@x.org>\r\n"));
	assert_int_equal(f->envelope->flags & ENVELOPE_LONG_LINES, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_simple),
		TEST(test_content),
		TEST(test_partial_lines),
		TEST(test_header_limit),
		TEST(test_prepend),
		TEST(test_too_big),
		TEST(test_hops),
		TEST(test_characters),
		TEST(test_nul_is_kept),
		TEST(test_recipients),
		TEST(test_without_original),
		TEST(test_duplicate_limit),
		TEST(test_no_recipients),
		TEST(test_attribute_limit),
		TEST(test_missing_headers),
		TEST(test_full_name),
		TEST(test_long_full_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
