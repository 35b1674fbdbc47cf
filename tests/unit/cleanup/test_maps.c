/* Rewriting and mapping of addresses. Expectations were obtained by sending the same mail through a
 * Postfix 3.7. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "cleanup_fixture.h"

static void send_envelope(struct fixture *f, const char *sender, const char *recipient)
{
	struct cleanup *c = begin(f, true);

	cleanup_sender(c, sender, NULL, RET_NONE, 0);
	cleanup_recipient(c, recipient, NULL, NULL, 0);
	add_text(c, "Subject: x\n\nbody\n");
	end(f, c);
}

struct envelope_case {
	const char *given;
	const char *result; /* recipients, separated by blanks; NULL: refused */
};

static void check_recipients(struct fixture *f, const struct envelope_case *want)
{
	struct buf got = BUF(10000);

	send_envelope(f, "s@s.org", want->given);
	if (!want->result) {
		assert_int_equal(f->result.status, CLEANUP_TROUBLE);
		buf_free(&got);
		return;
	}
	assert_int_equal(f->result.status, CLEANUP_OK);
	for (size_t i = 0; i < f->envelope->recipient_count; i++)
		buf_printf(&got, "%s%s", i ? " | " : "", f->envelope->recipients[i].address);
	assert_string_equal(buf_cstr(&got), want->result);
	buf_free(&got);
}

static const struct envelope_case virtual_cases[] = {
	{"a+ext@x.org", "b+ext@y.org"},
	{"foo+ext@w.org", "catch@y.org"},
	{"foo+ext@o.org", "foo+ext@p.org"},
	{"multi+q@x.org", "one+q@y.org | two+q@y.org"},
	{"loop@x.org", "loop@x.org | other@y.org"},
	{"c1+k@x.org", "c3+k@x.org"},
	{"bare+k@x.org", "bareuser+k@example.com"},
	{"aa bb+e@x.org", "cc dd+e@y.org"},
	{"me+z@example.com", "you+z@y.org"},
	{"l1@x.org", NULL},
	{"e+x@x.org", "f@y.org"},
	{"self+x@x.org", "self+x@x.org"},
	{"A@X.ORG", "b@y.org"},
	{"nobody@q.org", "nobody@q.org"},
	{"down@x.org", "fine@z.org | c3@x.org"},
};

static void test_virtual(void **state)
{
	struct fixture *f = *state;

	f->cfg.recipient_delimiter = "+";
	f->cfg.virtual_alias_maps =
		"inline:{{a@x.org=b@y.org},{@w.org=catch@y.org},{@o.org=@p.org},{multi@x.org=one@y.org, "
		"two@y.org},"
		"{loop@x.org=loop@x.org, "
		"other@y.org},{c1@x.org=c2@x.org},{c2@x.org=c3@x.org},{bare@x.org=bareuser},"
		"{\"aa bb\"@x.org=\"cc dd\"@y.org},{me=you@y.org},{l1@x.org=l2@x.org},{l2@x.org=l1@x.org},"
		"{e+x@x.org=f@y.org},{self@x.org=self@x.org},{down@x.org=fine@z.org, c1@x.org}}";
	reopen_env(f);
	for (size_t i = 0; i < sizeof(virtual_cases) / sizeof(*virtual_cases); i++)
		check_recipients(f, &virtual_cases[i]);
	assert_string_equal(f->envelope->recipients[0].original, "down@x.org");
}

static void test_virtual_limits(void **state)
{
	struct fixture *f = *state;

	f->cfg.virtual_alias_maps =
		"regexp:{{/^(.+)@double.org$/ $1$1@double.org},{/^(.+)@wide.org$/ a$1@wide.org, "
		"b$1@wide.org},{/^(.+)@deep.org/ x$1@deep.org}}";
	f->cfg.virtual_alias_expansion_limit = 100;
	f->cfg.virtual_alias_recursion_limit = 50;
	reopen_env(f);
	send_envelope(f, "s@s.org", "user@double.org");
	assert_int_equal(f->result.status, CLEANUP_TROUBLE);
	assert_string_equal(f->result.dsn, "4.6.0");
	assert_string_equal(f->text, "Alias expansion error");
	send_envelope(f, "s@s.org", "user@wide.org");
	assert_int_equal(f->result.status, CLEANUP_TROUBLE);
	send_envelope(f, "s@s.org", "user@deep.org");
	assert_int_equal(f->result.status, CLEANUP_TROUBLE);
	f->cfg.virtual_alias_maps = "fail:x";
	reopen_env(f);
	send_envelope(f, "s@s.org", "user@x.org");
	assert_int_equal(f->result.status, CLEANUP_TROUBLE);
	assert_string_equal(f->result.dsn, "4.3.0");
	assert_string_equal(f->text, "Error: queue file write error");
	f->cfg.receive_override_options = "no_address_mappings";
	reopen_env(f);
	check_recipients(f, &(const struct envelope_case){"user@x.org", "user@x.org"});
}

struct pair {
	const char *given, *result;
};

static const struct pair canonical_pairs[] = {
	{"a@x.org", "b@y.org"},
	{"foo+ext@w.org", "catch@y.org"},
	{"foo+ext@o.org", "foo+ext@p.org"},
	{"c1+k@x.org", "c3+k@x.org"},
	{"l1@x.org", "l1@x.org"},
	{"bare+k@x.org", "bareuser+k@example.com"},
	{"user+k@example.com", "First.Last+k@example.com"},
	{"aa bb+e@x.org", "cc dd+e@y.org"},
	{"two@x.org", "q@y.org"},
	{"", ""},
};

static void open_canonical(struct fixture *f)
{
	f->cfg.recipient_delimiter = "+";
	f->cfg.canonical_maps =
		"inline:{{a@x.org=b@y.org},{@w.org=catch@y.org},{@o.org=@p.org},{c1@x.org=c2@x.org},{c2@x."
		"org=c3@x.org},"
		"{l1@x.org=l2@x.org},{l2@x.org=l1@x.org},{bare@x.org=bareuser},{user=First.Last},"
		"{two@x.org=q@y.org, r@y.org},{\"aa bb\"@x.org=\"cc dd\"@y.org}}";
	f->cfg.sender_canonical_maps = "inline:{{sc@x.org=a@x.org}}";
	f->cfg.recipient_canonical_maps = "inline:{{rc@x.org=sc@x.org}}";
	reopen_env(f);
}

static void test_canonical(void **state)
{
	struct fixture *f = *state;

	open_canonical(f);
	for (size_t i = 0; i < sizeof(canonical_pairs) / sizeof(*canonical_pairs); i++) {
		send_envelope(f, canonical_pairs[i].given, "z@z.org");
		assert_string_equal(f->envelope->sender, canonical_pairs[i].result);
	}
	send_envelope(f, "sc@x.org", "rc@x.org");
	assert_string_equal(f->envelope->sender, "b@y.org");
	assert_string_equal(f->envelope->recipients[0].address, "sc@x.org");
	assert_string_equal(f->envelope->recipients[0].original, "rc@x.org");
	send_text(f, true,
		"From: a@x.org\nTo: A Person <a+ext@x.org>, (comment) foo@w.org\n"
		"Cc: user, grp: c1@x.org,\n user@example.com;\nReply-To: \"aa bb+e\"@x.org\nSubject: "
		"a@x.org\n"
		"Message-Id: <x>\nDate: x\n\na@x.org\n");
	expect_content(f, "From: b@y.org\r\nTo: A Person <b+ext@y.org>, catch@y.org (comment)\r\n"
			  "Cc: First.Last@example.com, grp: c3@x.org, "
			  "First.Last@example.com;\r\nReply-To: \"cc dd+e\"@y.org\r\n"
			  "Subject: a@x.org\r\nMessage-Id: <x>\r\nDate: x\r\n\r\na@x.org\r\n");
	f->cfg.canonical_classes = "header_recipient";
	reopen_env(f);
	send_envelope(f, "a@x.org", "a@x.org");
	assert_string_equal(f->envelope->sender, "a@x.org");
	f->cfg.canonical_classes = "envelope_sender";
	f->cfg.canonical_maps = "fail:x";
	reopen_env(f);
	send_envelope(f, "a@x.org", "z@z.org");
	assert_int_equal(f->result.status, CLEANUP_TROUBLE);
	send_envelope(f, "", "z@z.org");
	assert_int_equal(f->result.status, CLEANUP_OK);
}

static const struct pair header_pairs[] = {
	{"From: user", "From: user@example.com"},
	{"To: a, b@host, \"c d\", e%f, g!h, <i>, J K <j>, k (com), group: l, m@n; , o@p.",
		"To: a@example.com, b@host.example.com, \"c d\"@example.com,\r\n"
		"\te@f.example.com, h@g.example.com, <i@example.com>,\r\n"
		"\tJ K <j@example.com>, k@example.com (com), group: l@example.com,\r\n"
		"\tm@n.example.com;, o@p"},
	{"Cc: Joe User, x@y", "Cc: Joe@example.com, User@example.com, x@y.example.com"},
	{"Reply-To: (just comment)", "Reply-To: (just comment)"},
	{"Sender: <>", "Sender: <>"},
	{"Errors-To: v", "Errors-To: v@example.com"},
	{"Disposition-Notification-To: u", "Disposition-Notification-To: u@example.com"},
	{"Return-Receipt-To: t", "Return-Receipt-To: t@example.com"},
	{"Mail-Followup-To: y", "Mail-Followup-To: y@example.com"},
	{"Apparently-To: n", "Apparently-To: n@example.com"},
	{"Resent-From: rf", "Resent-From: rf@example.com"},
	{"X-To: xx", "X-To: xx"},
	{"Delivered-To: dd", "Delivered-To: dd"},
	{"To: <a, b>", "To: <\"a, b\"@example.com>"},
	{"Cc: a@b@c, @r:u@h, \"q\"@h, u@[1.2.3.4], \"x@y\"",
		"Cc: \"a@b\"@c.example.com, u@h.example.com, q@h.example.com,\r\n"
		"\tu@[1.2.3.4], \"x@y\"@example.com"},
	{"Reply-To: a b c@d", "Reply-To: a@example.com, b@example.com, c@d.example.com"},
	{"Resent-Cc: =?utf-8?q?x?= <e>,f\n g,\n\th (i) (j), <k>",
		"Resent-Cc: =?utf-8?q?x?= <e@example.com>, f@example.com,\r\n"
		"\tg@example.com, h@example.com (i) (j), <k@example.com>"},
	{"From: \"unbalanced", "From: unbalanced@example.com"},
	{"To: x@y.org", "To: x@y.org"},
	{"To:", "To:"},
	{"To: !", "To: \"\"@"},
	{"To: \"\"@x.org", "To: \"\"@x.org"},
	{"To: a(c)b", "To: a@example.com, b@example.com (c)"},
	{"To: test..iana.org", "To: \"test..iana.org\"@example.com"},
	{"To: a@.", "To: a@."},
	{"To : a", "To: a@example.com"},
	{"To: <@r1,@r2:u@h>", "To: <u@h.example.com>"},
	{"To: <a> <b> <c", "To: <a@example.com> <b@example.com>, \"<c\"@example.com"},
};

static void test_headers(void **state)
{
	struct fixture *f = *state;

	f->cfg.append_dot_mydomain = true;
	reopen_env(f);
	for (size_t i = 0; i < sizeof(header_pairs) / sizeof(*header_pairs); i++) {
		struct buf line = BUF(1000);

		buf_printf(&line, "%s\n\n", header_pairs[i].given);
		send_text(f, true, buf_cstr(&line));
		buf_clear(&line);
		buf_printf(&line, "%s\r\n", header_pairs[i].result);
		if (!str_starts(buf_slice(&f->content), buf_slice(&line)))
			fail_msg("%s became %s", header_pairs[i].given, buf_cstr(&f->content));
		buf_free(&line);
	}
}

static void test_remote_headers(void **state)
{
	struct fixture *f = *state;

	send_text(f, false, "From: user\nTo: a, b@host\n\nb\n");
	expect_content(f, "From: user\r\nTo: a, b@host\r\n\r\nb\r\n");
	f->cfg.remote_header_rewrite_domain = "domain.invalid";
	reopen_env(f);
	send_text(f, false, "From: user\nTo: a, b@host\n\nb\n");
	assert_true(has(f, "From: user@domain.invalid\r\nTo: a@domain.invalid, b@host\r\nMessage-Id: <"));
}

static void test_token_limit(void **state)
{
	struct fixture *f = *state;

	f->cfg.header_address_token_limit = 3;
	reopen_env(f);
	send_text(f, true, "To: a, b, c, d\n\n");
	assert_true(has(f, "To: a@example.com, b@example.com\r\n"));
}

static void test_masquerade_and_bcc(void **state)
{
	struct fixture *f = *state;
	struct cleanup *c;

	f->cfg.masquerade_domains = "!no.m.org foo.m.org m.org";
	f->cfg.masquerade_exceptions = "root";
	f->cfg.always_bcc = "bcc@b.org";
	f->cfg.sender_bcc_maps = "inline:{{s@m.org=sb}}";
	f->cfg.recipient_bcc_maps = "inline:{{@r.org=rb@b.org}}";
	f->cfg.virtual_alias_maps = "inline:{{rb@b.org=rb2@b.org}}";
	reopen_env(f);
	c = begin(f, true);
	cleanup_sender(c, "s@a.m.org", NULL, RET_NONE, 0);
	cleanup_recipient(c, "u@r.org", NULL, NULL, NOTIFY_SUCCESS);
	cleanup_recipient(c, "v@a.m.org", NULL, NULL, 0);
	add_text(c,
		"From: s@a.m.org\nTo: r@x.foo.m.org, t@z.no.m.org, root@x.m.org, k@m.org, n@xm.org\n\nb\n");
	end(f, c);
	assert_string_equal(f->envelope->sender, "s@m.org");
	assert_int_equal(f->envelope->recipient_count, 5);
	assert_string_equal(f->envelope->recipients[0].address, "u@r.org");
	assert_int_equal(f->envelope->recipients[0].notify, NOTIFY_SUCCESS);
	assert_string_equal(f->envelope->recipients[1].address, "rb2@b.org");
	assert_int_equal(f->envelope->recipients[1].notify, NOTIFY_NEVER);
	assert_string_equal(f->envelope->recipients[2].address, "v@a.m.org");
	assert_string_equal(f->envelope->recipients[3].address, "sb@example.com");
	assert_string_equal(f->envelope->recipients[4].address, "bcc@b.org");
	assert_true(has(
		f, "From: s@m.org\r\nTo: r@foo.m.org, t@z.no.m.org, root@x.m.org, k@m.org, n@xm.org\r\n"));
	f->cfg.sender_bcc_maps = "fail:x";
	reopen_env(f);
	send_envelope(f, "s@s.org", "z@z.org");
	assert_int_equal(f->result.status, CLEANUP_TROUBLE);
}

static void test_internal_mail_has_no_bcc(void **state)
{
	struct fixture *f = *state;
	struct cleanup_options options = {.internal = true, .queue = QUEUE_INCOMING};
	struct err err = {""};
	struct cleanup *c;

	f->cfg.always_bcc = "bcc@b.org";
	reopen_env(f);
	c = cleanup_begin(f->env, &options, &err);
	f->id = *cleanup_id(c);
	cleanup_sender(c, "", NULL, RET_NONE, 0);
	cleanup_recipient(c, "z@z.org", NULL, NULL, 0);
	end(f, c);
	assert_int_equal(f->envelope->recipient_count, 1);
	assert_int_equal(f->envelope->flags & ENVELOPE_INTERNAL, ENVELOPE_INTERNAL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_virtual),
		TEST(test_virtual_limits),
		TEST(test_canonical),
		TEST(test_headers),
		TEST(test_remote_headers),
		TEST(test_token_limit),
		TEST(test_masquerade_and_bcc),
		TEST(test_internal_mail_has_no_bcc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
