/* Whole deliveries to scripted servers. L is "host[address]" of the server in what is expected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "fixture.h"

#define L "127.0.0.1[127.0.0.1]"
#define OPEN "220 hello ESMTP", "EHLO", "250 ok"
#define OPEN_PIPE "220 hello ESMTP", "EHLO", "250-ok", "250 PIPELINING"
#define PLAIN_MAIL "MAIL FROM:<sender@client.example>"
#define R(n) "RCPT TO:<u" #n "@example.com>"
#define HI "EHLO client.example|"

struct expected {
	enum dsn_action action;
	const char *status, *reason;
};

struct row {
	const char *name;
	const char *script[40];
	size_t recipients;
	struct expected expected[8]; /* the last one holds for the rest */
	const char *said;
	bool trouble;
	const char *main_cf;
	bool lmtp;
};

static const struct row rows[] = {
	{"accepted",
		{OPEN, "MAIL", "250 ok", "RCPT", "250 ok", "DATA", "354 go", ".", "250 2.1.5 taken", "QUIT"},
		1, {{DSN_RELAYED, "2.1.5", "250 2.1.5 taken"}}, HI PLAIN_MAIL "|" R(1) "|DATA|QUIT|<end>",
		false, NULL, false},
	{"pipelined, QUIT with the dot",
		{OPEN_PIPE, "MAIL", "RCPT", "RCPT", "DATA", "250 ok", "250 ok", "250 ok", "354 go", ".",
			"QUIT", "250 ok", "221 bye"},
		2, {{DSN_RELAYED, "2.0.0", "250 ok"}}, HI PLAIN_MAIL "|" R(1) "|" R(2) "|DATA|QUIT|<end>",
		false, NULL, false},
	{"one of three refused",
		{OPEN_PIPE, "MAIL", "250 ok", "RCPT", "250 ok", "RCPT", "550 5.1.1 unknown", "RCPT",
			"450 later", "DATA", "354 go", ".", "250 ok", "QUIT"},
		3,
		{{DSN_RELAYED, "2.0.0", "250 ok"},
			{DSN_FAILED, "5.1.1",
				"host " L " said: 550 5.1.1 unknown (in reply to RCPT TO command)"},
			{DSN_DELAYED, "4.0.0", "host " L " said: 450 later (in reply to RCPT TO command)"}},
		HI PLAIN_MAIL "|" R(1) "|" R(2) "|" R(3) "|DATA|QUIT|<end>", false, NULL, false},
	{"all refused, yet DATA is taken",
		{OPEN_PIPE, "MAIL", "250 ok", "RCPT", "550 no", "DATA", "354 go", ".", "554 no recipients",
			"QUIT"},
		1, {{DSN_FAILED, "5.0.0", "host " L " said: 550 no (in reply to RCPT TO command)"}},
		HI PLAIN_MAIL "|" R(1) "|DATA|QUIT|<end>", false, NULL, false},
	{"no DATA when all are refused", {OPEN, "MAIL", "250 ok", "RCPT", "550 no", "RSET", "250 ok", "QUIT"},
		1, {{DSN_FAILED, "5.0.0", "host " L " said: 550 no (in reply to RCPT TO command)"}},
		HI PLAIN_MAIL "|" R(1) "|RSET|QUIT|<end>", false, NULL, false},
	{"sender refused",
		{OPEN_PIPE, "MAIL", "RCPT", "DATA", "451 4.7.1 wait", "503 no", "503 no", "RSET", "250 ok",
			"QUIT"},
		1,
		{{DSN_DELAYED, "4.7.1", "host " L " said: 451 4.7.1 wait (in reply to MAIL FROM command)"}},
		HI PLAIN_MAIL "|" R(1) "|DATA|RSET|QUIT|<end>", false, NULL, false},
	{"DATA refused",
		{OPEN, "MAIL", "250 ok", "RCPT", "250 ok", "DATA", "554 no", "RSET", "250 ok", "QUIT"}, 1,
		{{DSN_FAILED, "5.0.0", "host " L " said: 554 no (in reply to DATA command)"}},
		HI PLAIN_MAIL "|" R(1) "|DATA|RSET|QUIT|<end>", false, NULL, false},
	{"content refused",
		{OPEN, "MAIL", "250 ok", "RCPT", "250 ok", "DATA", "354 go", ".", "552-5.3.4 too",
			"552 5.3.4 big", "QUIT"},
		1,
		{{DSN_FAILED, "5.3.4",
			"host " L " said: 552-5.3.4 too 552 5.3.4 big (in reply to end of DATA command)"}},
		HI PLAIN_MAIL "|" R(1) "|DATA|QUIT|<end>", false, NULL, false},
	{"senseless verdict",
		{OPEN, "MAIL", "250 ok", "RCPT", "250 ok", "DATA", "354 go", ".", "354 more", "QUIT"}, 1,
		{{DSN_FAILED, "5.5.0", "host " L " said: 354 more (in reply to end of DATA command)"}},
		HI PLAIN_MAIL "|" R(1) "|DATA|QUIT|<end>", false, NULL, false},
	{"HELO after EHLO is refused",
		{"220 hello", "EHLO", "502 what", "HELO", "250 ok", "MAIL", "250 ok", "RCPT", "250 ok",
			"DATA", "354 go", ".", "250 ok", "QUIT"},
		1, {{DSN_RELAYED, "2.0.0", "250 ok"}},
		HI "HELO client.example|" PLAIN_MAIL "|" R(1) "|DATA|QUIT|<end>", false, NULL, false},
	{"greeting without ESMTP",
		{"220 hello", "HELO", "250 ok", "MAIL", "250 ok", "RCPT", "250 ok", "DATA", "354 go", ".",
			"250 ok", "QUIT"},
		1, {{DSN_RELAYED, "2.0.0", "250 ok"}},
		"HELO client.example|" PLAIN_MAIL "|" R(1) "|DATA|QUIT|<end>", false,
		"smtp_always_send_ehlo = no", false},
	{"greeting with ESMTP",
		{"220 hello ESMTP", "EHLO", "250 ok", "MAIL", "550 no", "RSET", "250 ok", "QUIT"}, 1,
		{{DSN_FAILED, "5.0.0", "host " L " said: 550 no (in reply to MAIL FROM command)"}},
		HI PLAIN_MAIL "|RSET|QUIT|<end>", false, "smtp_always_send_ehlo = no", false},
	{"refused greeting, skipped", {"554 go away", "QUIT"}, 1,
		{{DSN_DELAYED, "4.0.0", "host " L " refused to talk to me: 554 go away"}}, "QUIT|<end>", true,
		NULL, false},
	{"refused greeting, final", {"554 5.7.1 go away", "QUIT"}, 2,
		{{DSN_FAILED, "5.7.1", "host " L " refused to talk to me: 554 5.7.1 go away"}}, "QUIT|<end>",
		false, "smtp_skip_5xx_greeting = no", false},
	{"busy greeting", {"421 busy"}, 1,
		{{DSN_DELAYED, "4.0.0", "host " L " refused to talk to me: 421 busy"}}, "<end>", true, NULL,
		false},
	{"lost in the greeting", {"*close"}, 1,
		{{DSN_DELAYED, "4.4.2",
			"lost connection with " L " while receiving the initial server greeting"}},
		"<end>", true, NULL, false},
	{"silent greeting", {"*sleep"}, 1,
		{{DSN_DELAYED, "4.4.2",
			"conversation with " L " timed out while receiving the initial server greeting"}},
		"<end>", true, NULL, false},
	{"lost in EHLO", {"220 hi", "EHLO", "*close"}, 1,
		{{DSN_DELAYED, "4.4.2", "lost connection with " L " while performing the EHLO handshake"}},
		HI "<end>", true, NULL, false},
	{"lost in MAIL", {OPEN, "MAIL", "*close"}, 1,
		{{DSN_DELAYED, "4.4.2", "lost connection with " L " while sending MAIL FROM"}},
		HI PLAIN_MAIL "|<end>", true, NULL, false},
	{"lost in RCPT, one had its answer",
		{OPEN_PIPE, "MAIL", "250 ok", "RCPT", "550 no", "RCPT", "*close"}, 2,
		{{DSN_FAILED, "5.0.0", "host " L " said: 550 no (in reply to RCPT TO command)"},
			{DSN_DELAYED, "4.4.2", "lost connection with " L " while sending RCPT TO"}},
		HI PLAIN_MAIL "|" R(1) "|" R(2) "|<end>", true, NULL, false},
	{"lost in DATA", {OPEN, "MAIL", "250 ok", "RCPT", "250 ok", "DATA", "*close"}, 1,
		{{DSN_DELAYED, "4.4.2", "lost connection with " L " while sending DATA command"}},
		HI PLAIN_MAIL "|" R(1) "|DATA|<end>", true, NULL, false},
	{"lost after the dot", {OPEN, "MAIL", "250 ok", "RCPT", "250 ok", "DATA", "354 go", ".", "*close"}, 1,
		{{DSN_DELAYED, "4.4.2",
			"lost connection with " L
			" while sending end of data -- message may be sent more than once"}},
		HI PLAIN_MAIL "|" R(1) "|DATA|<end>", true, NULL, false},
	{"silence after the dot", {OPEN, "MAIL", "250 ok", "RCPT", "250 ok", "DATA", "354 go", ".", "*sleep"},
		1,
		{{DSN_DELAYED, "4.4.2",
			"conversation with " L
			" timed out while sending end of data -- message may be sent more than once"}},
		HI PLAIN_MAIL "|" R(1) "|DATA|<end>", true, NULL, false},
	{"421 in the middle", {OPEN, "MAIL", "250 ok", "RCPT", "421 4.3.2 closing", "*close"}, 1,
		{{DSN_DELAYED, "4.3.2", "host " L " said: 421 4.3.2 closing (in reply to RCPT TO command)"}},
		HI PLAIN_MAIL "|" R(1) "|<end>", false, NULL, false},
	{"lines that are no replies",
		{"220 hi", "EHLO", ">what", ">", "250 ok", "MAIL", "250 ok", "RCPT", "250 ok", "DATA",
			"354 go", ".", "250 ok", "QUIT"},
		1, {{DSN_RELAYED, "2.0.0", "250 ok"}}, HI PLAIN_MAIL "|" R(1) "|DATA|QUIT|<end>", false, NULL,
		false},
	{"too big", {"220 hi", "EHLO", "250-ok", "250 SIZE 10", "QUIT"}, 1,
		{{DSN_FAILED, "5.3.4", "message size 18 exceeds size limit 10 of server " L}},
		HI "QUIT|<end>", false, NULL, false},
	{"SIZE, 8BITMIME and DSN",
		{"220 hi", "EHLO", "250-ok", "250-SIZE", "250-8bitmime", "250 DSN", "MAIL", "250 ok", "RCPT",
			"250 ok", "DATA", "354 go", ".", "250 ok", "QUIT"},
		1, {{DSN_PASSED_ON, "2.0.0", "250 ok"}},
		HI
		"MAIL FROM:<sender@client.example> SIZE=18 BODY=8BITMIME ENVID=a+2Bb RET=HDRS|RCPT "
		"TO:<u1@example.com> ORCPT=rfc822;x+2By@example.com NOTIFY=SUCCESS,FAILURE|DATA|QUIT|<end>",
		false, NULL, false},
	{"keywords discarded",
		{"220 hi", "EHLO", "250-ok", "250-SIZE", "250-PIPELINING", "250 DSN", "MAIL", "250 ok",
			"RCPT", "250 ok", "DATA", "354 go", ".", "250 ok", "QUIT"},
		1, {{DSN_RELAYED, "2.0.0", "250 ok"}},
		HI "MAIL FROM:<sender@client.example> SIZE=18|" R(1) "|DATA|QUIT|<end>", false,
		"smtp_discard_ehlo_keywords = dsn, pipelining", false},
	{"keywords discarded by address",
		{"220 hi", "EHLO", "250-ok", "250-SIZE", "250 DSN", "MAIL", "250 ok", "RCPT", "250 ok",
			"DATA", "354 go", ".", "250 ok", "QUIT"},
		1, {{DSN_RELAYED, "2.0.0", "250 ok"}}, HI PLAIN_MAIL "|" R(1) "|DATA|QUIT|<end>", false,
		"smtp_discard_ehlo_keywords =\nsmtp_discard_ehlo_keyword_address_maps = inline:{ { 127.0.0.1 "
		"= dsn, size } }",
		false},
	{"next host after a temporary refusal",
		{OPEN, "MAIL", "250 ok", "RCPT", "450 later", "RSET", "250 ok", "QUIT", "*next", OPEN, "MAIL",
			"250 ok", "RCPT", "250 ok", "DATA", "354 go", ".", "250 ok", "QUIT"},
		1, {{DSN_RELAYED, "2.0.0", "250 ok"}},
		HI PLAIN_MAIL "|" R(1) "|RSET|QUIT|<end>|" HI PLAIN_MAIL "|" R(1) "|DATA|QUIT|<end>", false,
		"smtp_fallback_relay = [127.0.0.1]:%u", false},
	{"LMTP: a verdict for each",
		{"220 hi", "LHLO", "250-ok", "250 PIPELINING", "MAIL", "250 ok", "RCPT", "250 ok", "RCPT",
			"550 no", "RCPT", "250 ok", "DATA", "354 go", ".", "250 one", "452 4.2.2 full",
			"QUIT", "221 bye"},
		3,
		{{DSN_RELAYED, "2.0.0", "250 one"},
			{DSN_FAILED, "5.0.0", "host " L " said: 550 no (in reply to RCPT TO command)"},
			{DSN_DELAYED, "4.2.2",
				"host " L " said: 452 4.2.2 full (in reply to end of DATA command)"}},
		"LHLO client.example|" PLAIN_MAIL "|" R(1) "|" R(2) "|" R(3) "|DATA|QUIT|<end>", false,
		"lmtp_assume_final = no", true},
	{"LMTP: lost between verdicts",
		{"220 hi", "LHLO", "250 ok", "MAIL", "250 ok", "RCPT", "250 ok", "RCPT", "250 ok", "DATA",
			"354 go", ".", "250 one", "*close"},
		2,
		{{DSN_DELIVERED, "2.0.0", "250 one"},
			{DSN_DELAYED, "4.4.2",
				"lost connection with " L
				" while sending end of data -- message may be sent more than once"}},
		"LHLO client.example|" PLAIN_MAIL "|" R(1) "|" R(2) "|DATA|<end>", true,
		"lmtp_assume_final = yes", true},
};

static void use_dsn(struct fixture *f)
{
	f->request.ret = RET_HDRS;
	f->request.envid = "a+b";
	f->recipients[0].notify = NOTIFY_SUCCESS | NOTIFY_FAILURE;
	f->recipients[0].orcpt = "rfc822;x+y@example.com";
}

static void check(const struct row *row, const struct fixture *f)
{
	const struct expected *e = row->expected;

	for (size_t i = 0; i < row->recipients; i++) {
		if (i > 0 && i < 8 && row->expected[i].reason)
			e = &row->expected[i];
		assert_true(f->outcomes[i].decided);
		assert_string_equal(f->outcomes[i].reason, e->reason);
		assert_string_equal(f->outcomes[i].status, e->status);
		assert_int_equal(f->outcomes[i].action, e->action);
		assert_int_equal(f->outcomes[i].conn_use, 0);
	}
	assert_int_equal(f->trouble, row->trouble);
	assert_false(f->corrupt);
}

static void run(const struct row *row)
{
	struct server *v = server_start(row->script);
	char nexthop[40], said[20000], main_cf[600];
	struct fixture *f;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(main_cf, sizeof(main_cf), row->main_cf ? row->main_cf : "", v->port);
#pragma GCC diagnostic pop
	f = fixture_new(main_cf, row->lmtp);
	snprintf(nexthop, sizeof(nexthop), "[127.0.0.1]:%u", v->port);
	fixture_message(f, row->recipients, "Subject: x\r\n\r\nhi\r\n",
		strstr(row->name, "8BITMIME") ? ENVELOPE_8BIT : 0);
	if (strstr(row->name, "DSN"))
		use_dsn(f);
	fixture_deliver(f, nexthop);
	assert_string_equal(server_wait(v, said, sizeof(said)), row->said);
	check(row, f);
	server_free(v);
	fixture_free(f);
}

static void test_dialogues(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("%s\n", rows[i].name);
		run(&rows[i]);
	}
}

/* More commands than the window takes: replies are read in between, all recipients get theirs. */
static void test_many_recipients(void **state)
{
	const char *script[400] = {OPEN_PIPE, "MAIL", "250 ok"};
	struct server *v;
	struct fixture *f = fixture_new("", false);
	char nexthop[40], said[20000];
	size_t n = 6;

	for (int i = 0; i < 70; i++) {
		script[n++] = "RCPT";
		script[n++] = i % 2 ? "250 ok" : "550 no";
	}
	script[n++] = "DATA";
	script[n++] = "354 go";
	script[n++] = ".";
	script[n++] = "250 ok";
	v = server_start(script);
	snprintf(nexthop, sizeof(nexthop), "[127.0.0.1]:%u", v->port);
	fixture_message(f, 70, "hi\r\n", 0);
	fixture_deliver(f, nexthop);
	for (int i = 0; i < 70; i++)
		assert_int_equal(f->outcomes[i].action, i % 2 ? DSN_RELAYED : DSN_FAILED);
	server_wait(v, said, sizeof(said));
	server_free(v);
	fixture_free(f);
}

static void test_refused_connection(void **state)
{
	struct fixture *f = fixture_new("", false);

	fixture_message(f, 1, "hi\r\n", 0);
	fixture_deliver(f, "[127.0.0.1]:1");
	assert_string_equal(f->outcomes[0].reason, "connect to 127.0.0.1[127.0.0.1]:1: Connection refused");
	assert_string_equal(f->outcomes[0].status, "4.4.1");
	assert_string_equal(f->outcomes[0].relay, "none");
	assert_true(f->trouble);
	fixture_free(f);
}

static void test_control_bytes(void **state)
{
	struct fixture *f = fixture_new("", false);

	fixture_message(f, 2, "hi\r\n", 0);
	f->recipients[0].address = "a\r\nDATA\r\n@example.com";
	fixture_deliver(f, "[127.0.0.1]:1");
	assert_string_equal(f->outcomes[0].status, "5.1.3");
	assert_string_equal(f->outcomes[1].status, "4.4.1");
	f->request.sender = "\n";
	fixture_deliver(f, "[127.0.0.1]:1");
	assert_string_equal(f->outcomes[1].status, "5.1.3");
	fixture_free(f);
}

static void deliver_content(const char *main_cf, const char *content, int flags, const char *wanted)
{
	static const char *const script[] = {
		OPEN, "MAIL", "250 ok", "RCPT", "250 ok", "DATA", "354 go", ".", "250 ok", "QUIT", NULL};
	struct server *v = server_start(script);
	struct fixture *f = fixture_new(main_cf, false);
	char nexthop[40], said[2000];

	snprintf(nexthop, sizeof(nexthop), "[127.0.0.1]:%u", v->port);
	fixture_message(f, 1, content, flags);
	fixture_deliver(f, nexthop);
	assert_int_equal(f->outcomes[0].action, DSN_RELAYED);
	server_wait(v, said, sizeof(said));
	assert_string_equal(v->content, wanted);
	server_free(v);
	fixture_free(f);
}

static void test_content(void **state)
{
	deliver_content("", "a: b\r\n\r\nx\r\n", 0, "a: b||x|");
	deliver_content("", "", 0, "");
	deliver_content("", ".a\r\n..\r\n.\r\nx.\r\n", ENVELOPE_DOTS, "..a|...|..|x.|");
	deliver_content("smtp_line_length_limit = 4", "abcdefgh\r\nab\r\n.bcde\r\nabcd\r\n", ENVELOPE_DOTS,
		"abcd| efg| h|ab|..bcd| e|abcd|");
	deliver_content("smtp_line_length_limit = 0", "abcdefgh\r\n", ENVELOPE_LONG_LINES, "abcdefgh|");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dialogues),
		cmocka_unit_test(test_many_recipients),
		cmocka_unit_test(test_refused_connection),
		cmocka_unit_test(test_control_bytes),
		cmocka_unit_test(test_content),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
