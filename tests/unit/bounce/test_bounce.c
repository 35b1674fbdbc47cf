/* Reports: whom they go to, what stands in them, and that nothing hostile gets a line of its own. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "bounce/bounce.h"

struct fixture {
	char directory[64];
	const struct config *loaded;
	struct config cfg; /* a copy that tests change */
	struct spool *spool;
	struct resolver *resolver;
	struct bounce_env env;
	struct pool *pool;
	struct envelope *e; /* the message that is reported */
	struct dsn dsn;
	struct queue_id report;
	struct err err;
};

static const char content[] =
	"From: s@test.example\r\nMessage-Id: <one@test.example>\r\nSubject: hello\r\n\r\nthe body\r\n";

static void load_config(struct fixture *f)
{
	struct config_source source = {.program = "test", .directory = f->directory};
	char path[100];
	FILE *out;

	snprintf(path, sizeof(path), "%s/main.cf", f->directory);
	assert_non_null(out = fopen(path, "w"));
	fputs("compatibility_level = 3.6\nmyhostname = mail.example.com\nmyorigin = example.com\n", out);
	fclose(out);
	f->loaded = config_load(&source, NULL, NULL, &f->err);
	if (!f->loaded)
		fail_msg("%s", f->err.text);
	f->cfg = *f->loaded;
}

static int setup(void **state)
{
	struct fixture *f = x_alloc(sizeof(*f));
	struct spool_options options = {.hash_queue_names = "", .owner = getuid(), .group = getgid()};

	snprintf(f->directory, sizeof(f->directory), "/tmp/test-bounce-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	options.queue_directory = f->directory;
	assert_true(spool_make_directories(&options, &f->err));
	assert_non_null(f->spool = spool_open(&options, &f->err));
	load_config(f);
	assert_non_null(f->resolver = resolver_new(&f->cfg, &f->err));
	f->env = (struct bounce_env){.cfg = &f->cfg, .spool = f->spool};
	f->env.cleanup = cleanup_env_new(&f->cfg, f->spool, f->resolver, NULL, &f->err);
	assert_non_null(f->env.cleanup);
	f->pool = pool_new(4096);
	f->dsn = (struct dsn){.action = DSN_FAILED, .status = "5.1.1", .reason = "no such user"};
	*state = f;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pool_free(&f->pool);
	cleanup_env_free(&f->env.cleanup);
	resolver_free(&f->resolver);
	spool_close(&f->spool);
	config_free(&f->loaded);
	nftw(f->directory, remove_one, 20, FTW_DEPTH | FTW_PHYS);
	x_free(&f);
	return 0;
}

/* A message from sender to so many recipients r0@far.example, ...; each has failed with f->dsn. */
static void message(struct fixture *f, const char *sender, size_t recipients, const char *text)
{
	struct spool_writer *w = spool_create(f->spool, QUEUE_INCOMING, &f->err);

	assert_non_null(w);
	f->e = pool_alloc(f->pool, sizeof(*f->e));
	f->e->sender = sender;
	f->e->recipient_count = recipients;
	f->e->recipients = pool_alloc(f->pool, recipients * sizeof(*f->e->recipients));
	for (size_t i = 0; i < recipients; i++) {
		f->e->recipients[i].address = pool_printf(f->pool, "r%zu@far.example", i);
		f->e->recipients[i].last = &f->dsn;
	}
	spool_content(w, str_c(text));
	assert_true(spool_commit(&w, f->e, &f->err));
}

static bool send_kind(struct fixture *f, enum bounce_kind kind)
{
	uint32_t indexes[16];

	for (uint32_t i = 0; i < 16; i++)
		indexes[i] = i;
	return bounce_send(
		&f->env, kind, QUEUE_INCOMING, f->e, indexes, f->e->recipient_count, &f->report, &f->err);
}

static struct envelope *report_envelope(struct fixture *f, const struct queue_id *id)
{
	struct envelope *e;

	assert_int_equal(spool_load(f->spool, QUEUE_INCOMING, id, f->pool, &e, &f->err), SPOOL_OK);
	return e;
}

static const char *read_report(struct fixture *f, const struct queue_id *id)
{
	struct spool_reader *r;
	struct buf text = BUF(1 << 20);
	struct str piece;
	const char *copy;

	assert_int_equal(spool_open_content(f->spool, QUEUE_INCOMING, id, &r, &f->err), SPOOL_OK);
	do {
		assert_int_equal(spool_read_content(r, &piece, &f->err), SPOOL_OK);
		buf_str(&text, piece);
	} while (piece.n > 0);
	spool_reader_free(&r);
	copy = pool_strdup(f->pool, buf_cstr(&text));
	buf_free(&text);
	return copy;
}

static const char *report_of(struct fixture *f, enum bounce_kind kind)
{
	if (!send_kind(f, kind))
		fail_msg("%s", f->err.text);
	assert_string_not_equal(f->report.text, "");
	return read_report(f, &f->report);
}

static void has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("missing: %s\nin: %s", part, text);
}

static void has_not(const char *text, const char *part)
{
	if (strstr(text, part) != NULL)
		fail_msg("unwanted: %s\nin: %s", part, text);
}

static bool count_one(void *arg, enum spool_queue q, const struct queue_id *id)
{
	(*(size_t *)arg)++;
	return true;
}

static size_t count_files(struct fixture *f)
{
	size_t n = 0;

	assert_true(spool_scan(f->spool, QUEUE_INCOMING, count_one, &n, &f->err));
	return n;
}

/* ---- the form */

static void failure_report(void **state)
{
	struct fixture *f = *state;
	const char *text;
	struct envelope *e;

	f->dsn.diag_type = "smtp";
	f->dsn.diag_text = "550 5.1.1 no such user";
	f->dsn.mta_type = "dns";
	f->dsn.mta_name = "mx.far.example";
	message(f, "s@test.example", 2, content);
	text = report_of(f, BOUNCE_FAILURE);
	e = report_envelope(f, &f->report);
	assert_string_equal(e->sender, "");
	assert_int_equal(e->recipient_count, 1);
	assert_string_equal(e->recipients[0].address, "s@test.example");
	assert_int_equal(e->recipients[0].notify, NOTIFY_NEVER);
	assert_true(e->flags & ENVELOPE_INTERNAL);
	has(text, "Subject: Undelivered Mail Returned to Sender\r\nTo: s@test.example\r\nAuto-Submitted: "
		  "auto-replied\r\n");
	has(text, "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"");
	has(text, "<r1@far.example>: no such user\r\n");
	has(text, "\r\n\r\nFinal-Recipient: rfc822; r0@far.example\r\nOriginal-Recipient: "
		  "rfc822;r0@far.example\r\n"
		  "Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.far.example\r\n"
		  "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n\r\nFinal-Recipient: rfc822; "
		  "r1@far.example\r\n");
	has(text, "Content-Type: message/rfc822\r\n\r\nReturn-Path: <s@test.example>\r\nFrom: "
		  "s@test.example\r\n");
	has(text, "\r\n\r\nthe body\r\n\r\n--");
}

static void headers_only_when_asked_or_too_large(void **state)
{
	struct fixture *f = *state;

	message(f, "s@test.example", 1, content);
	f->e->ret = RET_HDRS;
	has_not(report_of(f, BOUNCE_FAILURE), "the body");
	has(read_report(f, &f->report),
		"Content-Type: text/rfc822-headers\r\n\r\nReturn-Path: <s@test.example>\r\n");
	f->e->ret = RET_FULL;
	has(report_of(f, BOUNCE_FAILURE), "the body");
	f->cfg.bounce_size_limit = 20;
	has_not(report_of(f, BOUNCE_FAILURE), "the body");
}

static void delay_and_success(void **state)
{
	struct fixture *f = *state;

	f->cfg.delay_warning_time = 4 * 3600;
	f->dsn.action = DSN_DELAYED;
	memcpy(f->dsn.status, "4.4.1", 6);
	message(f, "s@test.example", 1, content);
	has(report_of(f, BOUNCE_DELAY), "Action: delayed\r\nStatus: 4.4.1\r\n");
	has(read_report(f, &f->report), "For more than 4 hour(s)");
	has(read_report(f, &f->report), "\r\nWill-Retry-Until: ");
	f->dsn.action = DSN_RELAYED;
	memcpy(f->dsn.status, "2.0.0", 6);
	f->e->recipients[0].notify = NOTIFY_SUCCESS;
	has(report_of(f, BOUNCE_SUCCESS), "Action: relayed\r\nStatus: 2.0.0\r\n");
	has_not(read_report(f, &f->report), "the body");
}

static void envid_and_orcpt(void **state)
{
	struct fixture *f = *state;
	const char *text;

	message(f, "s@test.example", 1, content);
	f->e->envid = "id=1+2";
	f->e->recipients[0].orcpt = "rfc822;first+x@here.example";
	f->e->recipients[0].original = "first@here.example";
	text = report_of(f, BOUNCE_FAILURE);
	has(text, "\r\nOriginal-Envelope-Id: id=1+2\r\n");
	has(text, "\r\nOriginal-Recipient: rfc822;first+x@here.example\r\n");
	has(text, "<r0@far.example> (expanded from <first@here.example>): no such user\r\n");
}

static void long_reasons_are_folded(void **state)
{
	struct fixture *f = *state;

	f->dsn.reason =
		"host 127.0.0.1[127.0.0.1] said: 553 5.1.8 bad sender (in reply to MAIL FROM command)";
	message(f, "s@test.example", 1, content);
	f->e->recipients[0].address = "u@rmail.example";
	has(report_of(f, BOUNCE_FAILURE),
		"<u@rmail.example>: host 127.0.0.1[127.0.0.1] said: 553 5.1.8 bad sender (in\r\n"
		"    reply to MAIL FROM command)\r\n");
}

/* ---- to whom */

static void notify_is_obeyed(void **state)
{
	static const struct {
		enum bounce_kind kind;
		int notify;
		bool sent;
	} cases[] = {
		{BOUNCE_FAILURE, 0, true},
		{BOUNCE_FAILURE, NOTIFY_NEVER, false},
		{BOUNCE_FAILURE, NOTIFY_SUCCESS, false},
		{BOUNCE_FAILURE, NOTIFY_FAILURE | NOTIFY_SUCCESS, true},
		{BOUNCE_DELAY, 0, true},
		{BOUNCE_DELAY, NOTIFY_FAILURE, false},
		{BOUNCE_DELAY, NOTIFY_DELAY, true},
		{BOUNCE_SUCCESS, 0, false},
		{BOUNCE_SUCCESS, NOTIFY_SUCCESS, true},
		{BOUNCE_SUCCESS, NOTIFY_NEVER, false},
	};
	struct fixture *f = *state;

	message(f, "s@test.example", 1, content);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f->e->recipients[0].notify = cases[i].notify;
		assert_true(send_kind(f, cases[i].kind));
		assert_int_equal(f->report.text[0] != '\0', cases[i].sent);
	}
}

static void unwanted_recipients_are_left_out(void **state)
{
	struct fixture *f = *state;
	const char *text;

	message(f, "s@test.example", 2, content);
	f->e->recipients[0].notify = NOTIFY_NEVER;
	text = report_of(f, BOUNCE_FAILURE);
	has_not(text, "r0@far.example");
	has(text, "r1@far.example");
}

static void reports_are_not_reported(void **state)
{
	struct fixture *f = *state;

	f->cfg.notify_classes = "resource";
	message(f, "", 1, content);
	assert_true(send_kind(f, BOUNCE_FAILURE));
	assert_true(send_kind(f, BOUNCE_DELAY));
	message(f, "double-bounce@test.example", 1, content);
	f->cfg.notify_classes = "bounce, 2bounce, delay";
	assert_true(send_kind(f, BOUNCE_FAILURE));
	assert_int_equal(count_files(f), 2);
}

static void double_bounces_go_to_the_postmaster(void **state)
{
	struct fixture *f = *state;
	const char *text;
	struct envelope *e;

	f->cfg.notify_classes = "2bounce";
	f->cfg._2bounce_notice_recipient = "twice@test.example";
	message(f, "", 1, content);
	text = report_of(f, BOUNCE_FAILURE);
	e = report_envelope(f, &f->report);
	assert_string_equal(e->recipients[0].address, "twice@test.example");
	assert_true(str_starts(str_c(e->sender), STR("double-bounce")));
	has(text, "Subject: Postmaster Copy: Undelivered Mail\r\n");
	has(text, "the body");
	has(text, "Return-Path: <>\r\n");
}

static void verp_names_the_recipient(void **state)
{
	struct spool_attribute verp = {"verp_delimiters", "+="};
	struct fixture *f = *state;

	message(f, "list@test.example", 2, content);
	f->e->attributes = &verp;
	f->e->attribute_count = 1;
	assert_true(send_kind(f, BOUNCE_FAILURE));
	assert_string_equal(
		report_envelope(f, &f->report)->recipients[0].address, "list+r1=far.example@test.example");
	assert_int_equal(count_files(f), 3);
}

/* ---- hostile content */

static void nothing_injects_lines(void **state)
{
	struct fixture *f = *state;
	const char *text;

	f->dsn.reason = "no\r\nBcc: victim@example.org\r\n\r\nmore";
	f->dsn.diag_type = "smtp";
	f->dsn.diag_text = "550 x\nX-Evil: 1";
	f->dsn.mta_name = "mx\r\nX-Evil: 2";
	message(f, "s@test.example", 1, content);
	f->e->envid = "a\r\nX-Evil: 3";
	f->e->recipients[0].orcpt = "rfc822;a\nX-Evil: 4";
	text = report_of(f, BOUNCE_FAILURE);
	has_not(text, "\nBcc:");
	has_not(text, "\nX-Evil");
	has_not(text, "\n    Bcc: victim@example.org\r\n\r\n");
}

static void eight_bits_are_masked_without_smtputf8(void **state)
{
	struct fixture *f = *state;
	const char *text;

	f->dsn.reason = "caf\xc3\xa9 closed";
	message(f, "s@test.example", 1, content);
	text = report_of(f, BOUNCE_FAILURE);
	has(text, "caf?? closed");
	has_not(text, "Content-Transfer-Encoding");
	assert_false(report_envelope(f, &f->report)->flags & ENVELOPE_8BIT);
}

static void eight_bit_messages_are_marked(void **state)
{
	struct fixture *f = *state;
	const char *text;

	message(f, "s@test.example", 1, "Subject: x\r\n\r\ncaf\xc3\xa9\r\n");
	f->e->flags |= ENVELOPE_8BIT;
	text = report_of(f, BOUNCE_FAILURE);
	has(text, "boundary=\"");
	has(text, "\r\nContent-Transfer-Encoding: 8bit\r\n");
	has(text, "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
	has(text, "caf\xc3\xa9\r\n");
}

static void utf8_addresses_stay_what_they_are(void **state)
{
	struct fixture *f = *state;
	const char *text;

	message(f, "j\xc3\xbcrgen@test.example", 1, content);
	f->e->flags |= ENVELOPE_SMTPUTF8;
	text = report_of(f, BOUNCE_FAILURE);
	has(text, "-Sender: utf-8; j\xc3\xbcrgen@test.example\r\n");
	has(text, "Content-Type: message/global-delivery-status\r\n");
	has(text, "Content-Type: message/global\r\n");
	has(text, "charset=utf-8");
	assert_true(report_envelope(f, &f->report)->flags & ENVELOPE_SMTPUTF8);
}

static void threads_by_one_clean_id(void **state)
{
	static const struct {
		const char *id;
		bool used;
	} cases[] = {
		{"<one@test.example>", true},
		{"<a@b> <c@d>", false},
		{"<a@b>\r\n\tX: y", false},
		{"<a b@c>", false},
		{"no-brackets", false},
		{"<>", false},
		{"", false},
		{"<a\x01@b>", false},
	};
	struct fixture *f = *state;

	f->cfg.enable_threaded_bounces = true;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct spool_attribute id = {"message_id", cases[i].id};
		const char *text;

		message(f, "s@test.example", 1, content);
		f->e->attributes = &id;
		f->e->attribute_count = 1;
		text = report_of(f, BOUNCE_FAILURE);
		if (cases[i].used)
			has(text,
				"\r\nReferences: <one@test.example>\r\nIn-Reply-To: <one@test.example>\r\n");
		else
			has_not(text, "References:");
	}
}

static void content_without_end_and_long_lines(void **state)
{
	struct fixture *f = *state;
	char *big = pool_alloc(f->pool, 200001);
	const char *text;

	memset(big, 'x', 200000);
	f->cfg.bounce_size_limit = 0;
	message(f, "s@test.example", 1, pool_printf(f->pool, "Subject: x\r\n\r\n%s\r\n", big));
	text = report_of(f, BOUNCE_FAILURE);
	has(text, "xxxxxxxx\r\n\r\n--");
	message(f, "s@test.example", 1, "Subject: only a header\r\n");
	f->e->ret = RET_HDRS;
	has(report_of(f, BOUNCE_FAILURE), "Subject: only a header\r\n\r\n--");
}

/* The message's file is gone: no report, nothing left behind. */
static void unreadable_message_makes_no_report(void **state)
{
	struct fixture *f = *state;

	message(f, "s@test.example", 1, content);
	assert_true(spool_remove(f->spool, QUEUE_INCOMING, &f->e->id, &f->err));
	assert_false(send_kind(f, BOUNCE_FAILURE));
	assert_int_equal(count_files(f), 0);
}

/* ---- templates */

static void write_file(const char *path, struct str text)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	fwrite(text.p, 1, text.n, out);
	fclose(out);
}

static void take_warning(void *arg, const char *text)
{
	snprintf(arg, 600, "%s", text);
}

static struct bounce_templates *templates_of(struct fixture *f, struct str text, char warning[600])
{
	char *path = pool_printf(f->pool, "%s/templates", f->directory);

	warning[0] = '\0';
	write_file(path, text);
	return bounce_templates_load(path, take_warning, warning);
}

static void template_is_used(void **state)
{
	static const char file[] = "# comment\n\nfailure_template = <<END\nCharset: utf-8\nFrom: The Mailer "
				   "<mailer>\nSubject: Sorry\n"
				   "Postmaster-Subject: Told\n\nHost $myhostname, $$5, "
				   "${maximal_queue_lifetime_days} days.\n  kept\nEOF\n\xc3\xa9\nEND\n";
	struct fixture *f = *state;
	char warning[600];
	struct bounce_templates *t = templates_of(f, (struct str){file, sizeof(file) - 1}, warning);
	const char *text;

	assert_string_equal(warning, "");
	f->env.templates = t;
	message(f, "s@test.example", 1, content);
	text = report_of(f, BOUNCE_FAILURE);
	has(text, "From: The Mailer <mailer");
	has(text, "Subject: Sorry\r\n");
	has(text, "text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nHost ");
	has(text, ", $5, 5 days.\r\n  kept\r\nEOF\r\n\xc3\xa9\r\n\r\n<r0@far.example>");
	assert_string_equal(
		bounce_template_get(t, TEMPLATE_DELAY)->subject, "Delayed Mail (still being retried)");
	bounce_templates_free(&t);
}

static void bad_templates_are_told_of(void **state)
{
	static const struct {
		const char *text, *warning;
	} cases[] = {
		{"", NULL},
		{"failure_template = <<EOF\nSubject: a\n\ntext\n",
			"line 1: template without end marker \"EOF\""},
		{"failure_template = <<EO\n\nEOF\ntext\n", "line 1: template without end marker \"EO\""},
		{"other_template = <<EOF\n\nEOF\n", "line 1: unknown template name \"other_template\""},
		{"\n\nfailure_template = text\n", "line 3: expected"},
		{"failure_template = <<'EOF'\n\nEOF\n", "line 1: bad end marker"},
		{"failure_template = <<\n\nEOF\n", "line 1: bad end marker"},
		{"failure_template = <<EOF\nX-Other: 1\n\nEOF\n", "line 2: unknown template header"},
		{"failure_template = <<EOF\nSubject: caf\xc3\xa9\n\nEOF\n", "line 2: header with other than"},
	};
	struct fixture *f = *state;
	char warning[600];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bounce_templates *t = templates_of(f, str_c(cases[i].text), warning);

		if (cases[i].warning)
			has(warning, cases[i].warning);
		else
			assert_string_equal(warning, "");
		assert_string_equal(bounce_template_get(t, TEMPLATE_FAILURE)->subject,
			"Undelivered Mail Returned to Sender");
		bounce_templates_free(&t);
	}
}

static void binary_and_huge_templates(void **state)
{
	struct fixture *f = *state;
	char warning[600], *big = pool_alloc(f->pool, 300000);
	struct bounce_templates *t = templates_of(f, STR("failure_template = <<EOF\n\na\0b\nEOF\n"), warning);
	int n;

	has(warning, "NUL");
	bounce_templates_free(&t);
	n = snprintf(big, 100, "failure_template = <<EOF\n\n");
	memset(big + n, 'x', 200000);
	memcpy(big + n + 200000, "\nEOF\n", 6);
	t = templates_of(f, str_c(big), warning);
	has(warning, "too long");
	bounce_templates_free(&t);
	t = bounce_templates_load("/nonexistent/file", take_warning, warning);
	has(warning, "/nonexistent/file");
	bounce_templates_free(&t);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(failure_report),
		TEST(headers_only_when_asked_or_too_large),
		TEST(delay_and_success),
		TEST(envid_and_orcpt),
		TEST(long_reasons_are_folded),
		TEST(notify_is_obeyed),
		TEST(unwanted_recipients_are_left_out),
		TEST(reports_are_not_reported),
		TEST(double_bounces_go_to_the_postmaster),
		TEST(verp_names_the_recipient),
		TEST(nothing_injects_lines),
		TEST(eight_bits_are_masked_without_smtputf8),
		TEST(eight_bit_messages_are_marked),
		TEST(utf8_addresses_stay_what_they_are),
		TEST(threads_by_one_clean_id),
		TEST(content_without_end_and_long_lines),
		TEST(unreadable_message_makes_no_report),
		TEST(template_is_used),
		TEST(bad_templates_are_told_of),
		TEST(binary_and_huge_templates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
