#include "policy/policy_protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void test_request(void **state)
{
	struct buf request = BUF(1000);

	policy_attribute(&request, "sender", "a=b@c");
	policy_attribute(&request, "queue_id", NULL);
	policy_attribute(&request, "helo_name", "x\naction=OK\r");
	assert_string_equal(buf_cstr(&request), "sender=a=b@c\nqueue_id=\nhelo_name=x?action=OK?\n");
	buf_free(&request);
}

/* The lines of an answer, and what comes of it: NULL, it is malformed; "+", more is expected. */
static const struct {
	const char *lines[5], *action;
} answers[] = {
	{{"action=DUNNO", ""}, "DUNNO"},
	{{"action=", ""}, ""},
	{{"x=1", "action=550 5.7.1 a=b", "y", ""}, "550 5.7.1 a=b"},
	{{"action=OK", "action=REJECT", ""}, "OK"},
	{{"action=OK"}, "+"},
	{{""}, NULL},
	{{"ACTION=OK", ""}, NULL},
	{{"action =OK", ""}, NULL},
	{{"action", ""}, NULL},
	{{"action=\xff", ""}, NULL},
	{{"action=\xc3\xa4", ""}, "\xc3\xa4"},
};

static void test_answers(void **state)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct policy_answer a = {.action = BUF(100)};
		enum policy_step step = POLICY_MORE;
		struct err err = {""};

		for (size_t n = 0; n < 5 && answers[i].lines[n] && step == POLICY_MORE; n++)
			step = policy_answer_line(&a, str_c(answers[i].lines[n]), &err);
		if (!answers[i].action) {
			assert_int_equal(step, POLICY_MALFORMED);
			assert_true(err.text[0]);
		} else if (strcmp(answers[i].action, "+") == 0) {
			assert_int_equal(step, POLICY_MORE);
		} else {
			assert_int_equal(step, POLICY_DONE);
			assert_string_equal(buf_cstr(&a.action), answers[i].action);
		}
		buf_free(&a.action);
	}
}

static void test_bounds(void **state)
{
	struct policy_answer a = {.action = BUF(10)};
	enum policy_step step = POLICY_MORE;
	struct err err;
	int lines = 0;

	while (step == POLICY_MORE && lines < 1000) {
		step = policy_answer_line(&a, STR("x=y"), &err);
		lines++;
	}
	assert_int_equal(step, POLICY_MALFORMED);
	assert_int_equal(lines, POLICY_ANSWER_LINES + 1);
	a.lines = 0;
	assert_int_equal(policy_answer_line(&a, STR("action=01234567890"), &err), POLICY_MALFORMED);
	assert_int_equal(policy_answer_line(&a, STR("action=\0x"), &err), POLICY_MALFORMED);
	buf_free(&a.action);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
