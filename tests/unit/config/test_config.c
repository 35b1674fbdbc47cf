#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "config/config.h"
#include "config/rows.h"

static void keep_warning(void *arg, const char *text)
{
	buf_printf(arg, "%s\n", text);
}

static const struct config *load(const char *text, const char *program, struct buf *warnings, struct err *err)
{
	struct config_source source = {.directory = "/cf", .main_text = text, .program = program};

	return config_load(&source, warnings ? keep_warning : NULL, warnings, err);
}

static const struct config *loaded(const char *text)
{
	struct err err;
	const struct config *cfg = load(text, "smtpd", NULL, &err);

	if (!cfg)
		fail_msg("%s", err.text);
	return cfg;
}

static void test_defaults(void **state)
{
	const struct config *cfg = loaded("myhostname = a.example.com\n");

	assert_string_equal(cfg->mydomain, "example.com");
	assert_string_equal(cfg->mydestination, "a.example.com, localhost.example.com, localhost");
	assert_string_equal(cfg->config_directory, "/cf");
	assert_string_equal(cfg->process_name, "smtpd");
	assert_string_equal(cfg->_2bounce_notice_recipient, "postmaster");
	assert_int_equal(cfg->smtpd_timeout, 300);
	assert_int_equal(cfg->maximal_queue_lifetime, 5 * 24 * 3600);
	assert_int_equal(cfg->message_size_limit, 10240000);
	assert_true(cfg->append_dot_mydomain);
	assert_null(config_text(cfg, "no_such_name"));
	config_free(&cfg);
	assert_null(cfg);
}

/* Every default must be a value its own row allows, for both personalities. */
static void test_every_default(void **state)
{
	for (int lmtp = 0; lmtp < 2; lmtp++) {
		for (int stress = 0; stress < 2; stress++) {
			struct config_source s = {
				.directory = "/cf", .main_text = "", .lmtp = lmtp, .stress = stress};
			struct err err;
			const struct config *cfg = config_load(&s, NULL, NULL, &err);

			if (!cfg)
				fail_msg("%s", err.text);
			assert_int_equal(cfg->smtpd_timeout, stress ? 10 : 300);
			assert_string_equal(cfg->smtp_tcp_port, lmtp ? "24" : "smtp");
			config_free(&cfg);
		}
	}
}

static void test_rows(void **state)
{
	char name[ROW_NAME_MAX];

	for (size_t i = 0; i < row_count(); i++) {
		char twin[ROW_NAME_MAX];

		assert_ptr_equal(row_find(row_name(&rows[i])), &rows[i]);
		if (rows[i].twin)
			assert_null(row_find(row_twin_name(&rows[i], twin)));
		if (rows[i].dflt)
			assert_true(strlen(row_name(&rows[i])) < ROW_NAME_MAX);
	}
	assert_null(row_find("nosuch"));
	assert_string_equal(
		row_twin_name(row_find("smtp_discard_ehlo_keywords"), name), "lmtp_discard_lhlo_keywords");
	assert_string_equal(row_twin_name(row_find("smtp_helo_name"), name), "lmtp_lhlo_name");
}

static void test_syntax(void **state)
{
	const struct config *cfg = loaded(
		"# comment\n\n  \nrelayhost =  a\n  # inside\n\n  b  \r\n\tc\nmail_name=$foo\nfoo = x = y\n"
		"empty =\n");

	assert_string_equal(cfg->relayhost, "a  b  \tc");
	assert_string_equal(cfg->mail_name, "x = y");
	assert_string_equal(config_text(cfg, "empty"), "");
	config_free(&cfg);
}

static void test_bad_files(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"relayhost\n", "/cf/main.cf, line 1: missing '=' after attribute name: \"relayhost\""},
		{"# x\nfoo bar = x\n",
			"/cf/main.cf, line 2: missing '=' after attribute name: \"foo bar = x\""},
		{"= x\n", "/cf/main.cf, line 1: missing attribute name: \"= x\""},
		{"smtpd_timeout = 3y\n", "parameter smtpd_timeout: bad time value or unit: 3y"},
		{"smtpd_timeout = 99999999w\n", "parameter smtpd_timeout: bad time value or unit: 99999999w"},
		{"smtpd_timeout = 0\n", "invalid smtpd_timeout parameter value 0 < 1"},
		{"smtpd_timeout =\n", "parameter smtpd_timeout: bad time value or unit: "},
		{"message_size_limit = 10k\n", "bad numerical configuration: message_size_limit = 10k"},
		{"message_size_limit = 99999999999999999999\n",
			"bad numerical configuration: message_size_limit = 99999999999999999999"},
		{"smtpd_helo_required = maybe\n", "bad boolean configuration: smtpd_helo_required = maybe"},
		{"smtpd_tls_security_level = strong\n",
			"parameter smtpd_tls_security_level: unknown value \"strong\""},
		{"notify_classes = Resource, fun\n",
			"parameter notify_classes: unknown word \"fun\" (use any of: bounce|2bounce|"},
		{"mynetworks_style = street\n",
			"unknown mynetworks mask style value \"street\" in \"street\""},
		{"inet_protocols = ipv5\n", "unknown inet_protocols value \"ipv5\" in \"ipv5\""},
		{"myorigin = a, b\n", "parameter myorigin: one name is wanted: \"a, b\""},
		{"myorigin = /nonexistent\n", "parameter myorigin: open /nonexistent: No such file"},
		{"myorigin = ${x\n", "parameter myorigin: truncated macro reference: \"${x\""},
		{"myorigin = $myorigin\n",
			"parameter myorigin: unreasonable macro call nesting: \"myorigin\""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = {""};
		const struct config *cfg = load(cases[i].text, "smtpd", NULL, &err);

		assert_null(cfg);
		if (strncmp(err.text, cases[i].error, strlen(cases[i].error)) != 0)
			fail_msg("want: %s\ngot:  %s", cases[i].error, err.text);
	}
}

static void test_warnings(void **state)
{
	struct buf warnings = BUF(10000);
	struct err err;
	const struct config *cfg =
		load(" orphan = x\nrelayhost = a\nrelayhost = b\nberkeley_db_read_buffer_size = 1\n", "smtpd",
			&warnings, &err);

	assert_non_null(cfg);
	assert_string_equal(cfg->relayhost, "b");
	assert_non_null(strstr(buf_cstr(&warnings),
		"/cf/main.cf: logical line must not start with whitespace: \" orphan = x\"\n"));
	assert_non_null(
		strstr(buf_cstr(&warnings), "/cf/main.cf, line 3: overriding earlier entry: relayhost=a\n"));
	assert_non_null(
		strstr(buf_cstr(&warnings), "parameter berkeley_db_read_buffer_size has no effect here\n"));
	config_free(&cfg);
	buf_free(&warnings);
}

/* A value that only the client reads must not stop the server, and must stop the client. */
static void test_foreign(void **state)
{
	struct buf warnings = BUF(10000);
	struct err err;
	const struct config *cfg = load("smtp_mx_address_limit = many\n", "smtpd", &warnings, &err);

	assert_non_null(cfg);
	assert_int_equal(cfg->smtp_mx_address_limit, 5);
	assert_non_null(
		strstr(buf_cstr(&warnings), "bad numerical configuration: smtp_mx_address_limit = many\n"));
	config_free(&cfg);
	cfg = load("smtpd_helo_required = maybe\n", "qmgr", NULL, &err);
	assert_non_null(cfg);
	assert_false(cfg->postscreen_helo_required);
	config_free(&cfg);
	assert_null(load("smtp_mx_address_limit = many\n", "smtp", NULL, &err));
	assert_null(load("message_size_limit = many\n", "smtpd", NULL, &err));
	buf_free(&warnings);
}

static void test_overrides(void **state)
{
	static const struct config_pair pairs[] = {{"relayhost", "one"}, {"relayhost", "two"},
		{"own", "$relayhost"}, {"smtp_helo_name", "smtp"}, {"lmtp_lhlo_name", "lmtp"}};
	struct config_source s = {.directory = "/cf",
		.main_text = "relayhost = zero\nmyorigin = $own\n",
		.overrides = pairs,
		.override_count = 5,
		.service = "127.0.0.1:25",
		.program = "lmtp",
		.lmtp = true};
	struct err err;
	const struct config *cfg = config_load(&s, NULL, NULL, &err);

	assert_non_null(cfg);
	assert_string_equal(cfg->relayhost, "two");
	assert_string_equal(cfg->myorigin, "two");
	assert_string_equal(cfg->service_name, "127.0.0.1:25");
	assert_string_equal(cfg->smtp_helo_name, "lmtp");
	assert_string_equal(config_text(cfg, "smtp_helo_name"), "smtp");
	config_free(&cfg);
}

static void test_transports(void **state)
{
	const struct config *cfg =
		loaded("smtp_destination_concurrency_limit = 7\nx_transport_rate_delay = 2m\n"
		       "relay_destination_concurrency_limit = $smtp_destination_concurrency_limit\n"
		       "bad_destination_concurrency_limit = "
		       "lots\n");

	assert_int_equal(config_transport_int(cfg, "smtp", "_destination_concurrency_limit"), 7);
	assert_int_equal(config_transport_int(cfg, "relay", "_destination_concurrency_limit"), 7);
	assert_int_equal(config_transport_int(cfg, "bad", "_destination_concurrency_limit"), 20);
	assert_int_equal(config_transport_int(cfg, "local", "_destination_concurrency_limit"), 2);
	assert_int_equal(config_transport_int(cfg, "other", "_initial_destination_concurrency"), 5);
	assert_int_equal(config_transport_time(cfg, "x", "_transport_rate_delay"), 120);
	assert_int_equal(config_transport_time(cfg, "pipe", "_time_limit"), 1000);
	config_free(&cfg);
}

static const char *one_name(void *arg, const char *name)
{
	return strcmp(name, "client") == 0 ? "$(rm)" : NULL;
}

/* What comes from the network is never expanded again. */
static void test_runtime_expansion(void **state)
{
	const struct config *cfg = loaded("myhostname = h.example\n");
	char *text = config_expand(cfg, "$client at $myhostname${none?x}", one_name, NULL);

	assert_string_equal(text, "$(rm) at h.example");
	x_free(&text);
	config_free(&cfg);
	cfg = loaded(
		"smtpd_reject_footer = \\c by $client\npostscreen_reject_footer = ${smtpd_reject_footer}!\n");
	text = config_expand(cfg, cfg->postscreen_reject_footer, one_name, NULL);
	assert_string_equal(text, "\\c by $(rm)!");
	x_free(&text);
	config_free(&cfg);
}

/* Defaults that are lists: words that lost the separator between them would be one word. */
static void test_list_defaults(void **state)
{
	static const struct {
		const char *name, *words;
	} lists[] = {
		{"import_environment", "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ XAUTHORITY DISPLAY LANG=C "
				       "POSTLOG_SERVICE POSTLOG_HOSTNAME "},
		{"export_environment", "TZ MAIL_CONFIG LANG "},
		{"message_drop_headers", "bcc content-length resent-bcc return-path "},
		{"canonical_classes", "envelope_sender envelope_recipient header_sender header_recipient "},
		{"parent_domain_matches_subdomains",
			"debug_peer_list fast_flush_domains mynetworks permit_mx_backup_networks "
			"qmqpd_authorized_clients relay_domains "
			"smtpd_access_maps "},
		{"notify_classes", "resource software "},
		{"smtpd_relay_restrictions",
			"permit_mynetworks permit_sasl_authenticated defer_unauth_destination "},
		{"smtp_tls_secure_cert_match", "nexthop dot-nexthop "},
		{"tls_dane_digests", "sha512 sha256 "},
	};
	const struct config *cfg = loaded("compatibility_level = 3.6\n");

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct str rest = str_c(config_text(cfg, lists[i].name)), word;
		struct buf words = BUF(1000);

		while (str_word(&rest, ", ", &word))
			buf_printf(&words, STR_FMT " ", STR_ARG(word));
		assert_string_equal(buf_cstr(&words), lists[i].words);
		buf_free(&words);
	}
	config_free(&cfg);
}

/* The order of lines does not matter to defaults that refer to others. */
static void test_late_default(void **state)
{
	const struct config *cfg = loaded("own = $alias_maps\ndefault_database_type = hash\n");

	assert_string_equal(cfg->alias_maps, "hash:/etc/aliases");
	assert_string_equal(config_text(cfg, "own"), "hash:/etc/aliases");
	config_free(&cfg);
}

static void test_times(void **state)
{
	int seconds;

	assert_true(config_parse_time(STR("5"), 'm', &seconds) && seconds == 300);
	assert_true(config_parse_time(STR("5S"), 'm', &seconds) && seconds == 5);
	assert_true(config_parse_time(STR("2w"), 's', &seconds) && seconds == 14 * 86400);
	assert_true(config_parse_time(STR("-1h"), 's', &seconds) && seconds == -3600);
	assert_false(config_parse_time(STR(""), 's', &seconds));
	assert_false(config_parse_time(STR("s"), 's', &seconds));
	assert_false(config_parse_time(STR("5 s"), 's', &seconds));
	assert_false(config_parse_time(STR("5ms"), 's', &seconds));
	assert_false(config_parse_time(STR("99999w"), 's', &seconds));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_default),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_overrides),
		cmocka_unit_test(test_transports),
		cmocka_unit_test(test_runtime_expansion),
		cmocka_unit_test(test_list_defaults),
		cmocka_unit_test(test_late_default),
		cmocka_unit_test(test_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
