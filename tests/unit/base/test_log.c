#include "base/log.h"
#include "base/log_render.h"
#include "base/sys.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/wait.h>
#include <unistd.h>

static const struct log_origin origin = {
	.host = "mail", .name = "postfix", .program = "smtpd", .when_us = 1795155990123456};

static void test_text_form(void **state)
{
	struct buf b = BUF(1000);
	char wanted[100];

	snprintf(wanted, sizeof(wanted), "Nov 20 06:26:30 mail postfix/smtpd[%d]: warning: a?b?",
		(int)getpid());
	log_render_prefix(&b, &origin);
	log_render_text(&b, LOGL_WARNING, "a\nb\x7f");
	assert_string_equal(buf_cstr(&b), wanted);
	buf_clear(&b);
	snprintf(wanted, sizeof(wanted), "<22>Nov 20 06:26:30 postfix/smtpd[%d]: x", (int)getpid());
	log_render_syslog(&b, &origin, 22);
	log_render_text(&b, LOGL_INFO, "x");
	assert_string_equal(buf_cstr(&b), wanted);
	buf_free(&b);
}

static void test_text_is_cut_to_fit(void **state)
{
	struct buf b = BUF(10);

	log_render_text(&b, LOGL_INFO, "0123456789abcdef");
	assert_string_equal(buf_cstr(&b), "01234567");
	buf_free(&b);
}

static void expect_json(const char *text, bool raw, const char *tail)
{
	struct buf b = BUF(1000);
	char wanted[300];

	snprintf(wanted, sizeof(wanted),
		"{\"time\":\"2026-11-20T06:26:30.123456+00:00\",\"host\":\"mail\",\"program\":\"postfix/"
		"smtpd\","
		"\"pid\":%d,\"level\":\"info\"%s}",
		(int)getpid(), tail);
	log_render_json(&b, &origin, LOGL_INFO, text, raw);
	assert_string_equal(buf_cstr(&b), wanted);
	buf_free(&b);
}

static void test_json_form(void **state)
{
	expect_json("hello", false, ",\"message\":\"hello\"");
	expect_json("{\"qid\":\"1\"}", true, ",\"qid\":\"1\"");
	expect_json("{}", true, "");
	expect_json("{\"a\":1}", false, ",\"message\":\"{\\\"a\\\":1}\"");
	expect_json("plain", true, ",\"message\":\"plain\"");
	expect_json("a\"b\\c\n\x7f", false, ",\"message\":\"a\\\"b\\\\c\\u000a\\u007f\"");
	expect_json("\xc3\xa4\xff\xc0\xaf\xed\xa0\x80", false,
		",\"message\":"
		"\"\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	expect_json("\xf0\x9f\x98\x80\xe2\x82", false,
		",\"message\":\"\xf0\x9f\x98\x80\xef\xbf\xbd\xef\xbf\xbd\"");
}

static int open_pipe_log(bool json, int verbose)
{
	int pair[2];
	struct log_options o = {.sink = LOG_SINK_FD,
		.syslog_name = "postfix",
		.program = "test",
		.host = "h",
		.json = json,
		.verbose = verbose};

	assert_int_equal(pipe(pair), 0);
	o.fd = pair[1];
	log_open(&o);
	return pair[0];
}

static void expect_line(int fd, const char *tail)
{
	char got[1000];
	ssize_t n = read(fd, got, sizeof(got) - 1);

	assert_true(n > 0);
	got[n] = '\0';
	assert_non_null(strstr(got, tail));
	assert_int_equal(got[n - 1], '\n');
	assert_ptr_equal(strchr(got, '\n'), &got[n - 1]);
}

static void test_each_line_is_one_write(void **state)
{
	int fd = open_pipe_log(false, 0);

	log_info("connect from %s", "x[192.0.2.1]");
	expect_line(fd, "]: connect from x[192.0.2.1]\n");
	log_error("bad\r\ninjected");
	expect_line(fd, " h postfix/test[");
	log_debug("not written");
	log_raw("cleanup", LOGL_INFO, "y");
	expect_line(fd, "postfix/cleanup[");
	log_raw("pickup", LOGL_WARNING, "as it is");
	expect_line(fd, "]: as it is\n");
	assert_false(log_is_json());
	fd = open_pipe_log(true, 1);
	assert_true(log_is_json());
	log_debug("written");
	expect_line(fd, "\"level\":\"debug\",\"message\":\"written\"}\n");
}

static void *log_many(void *arg)
{
	for (int i = 0; i < 200; i++)
		log_info("%d", i);
	return NULL;
}

static void test_threads(void **state)
{
	int fd = open_pipe_log(false, 0);
	pthread_t threads[4];
	char c;
	int lines = 0;

	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, log_many, NULL);
	while (lines < 800 && read(fd, &c, 1) == 1)
		lines += c == '\n';
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(lines, 800);
}

static void test_fatal_ends_the_process(void **state)
{
	int fd = open_pipe_log(false, 0), status;
	pid_t child = fork();

	if (child == 0)
		log_fatal("the %s", "end");
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	expect_line(fd, "]: fatal: the end\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_form),
		cmocka_unit_test(test_text_is_cut_to_fit),
		cmocka_unit_test(test_json_form),
		cmocka_unit_test(test_each_line_is_one_write),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_fatal_ends_the_process),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
