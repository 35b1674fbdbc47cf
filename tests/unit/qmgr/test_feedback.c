/* The window of a destination: parsing of amounts, growth, shrinking, death. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "qmgr/feedback.h"

static struct feedback_settings settings(int initial, int limit, const char *positive, const char *negative)
{
	struct feedback_settings s = {.initial = initial, .limit = limit, .cohort_limit = 1};

	assert_true(feedback_parse(str_c(positive), &s.positive, NULL));
	assert_true(feedback_parse(str_c(negative), &s.negative, NULL));
	return s;
}

static void amounts_are_parsed(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		double amount;
		int divisor;
	} cases[] = {
		{"1", true, 1, FEEDBACK_CONSTANT},
		{"0.25", true, 0.25, FEEDBACK_CONSTANT},
		{"0", true, 0, FEEDBACK_CONSTANT},
		{"1/concurrency", true, 1, FEEDBACK_CONCURRENCY},
		{" 0.5 / sqrt_concurrency ", true, 0.5, FEEDBACK_SQRT},
		{"", false, 0, 0},
		{"2", false, 0, 0},
		{"-1", false, 0, 0},
		{"1/", false, 0, 0},
		{"1/n", false, 0, 0},
		{"1x", false, 0, 0},
		{"nan", false, 0, 0},
		{"/concurrency", false, 0, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct feedback f;

		assert_int_equal(feedback_parse(str_c(cases[i].text), &f, NULL), cases[i].ok);
		if (cases[i].ok) {
			assert_true(f.amount == cases[i].amount);
			assert_int_equal(f.divisor, cases[i].divisor);
		}
	}
}

static void success_widens_to_the_limit(void **state)
{
	struct feedback_settings s = settings(5, 8, "1", "1");
	struct window w;

	window_init(&w, &s);
	assert_int_equal(w.size, 5);
	for (int i = 0; i < 10; i++)
		window_success(&w, &s, w.size - 1);
	assert_int_equal(w.size, 8);
	assert_true(window_open(&w, &s, 7));
	assert_false(window_open(&w, &s, 8));
}

static void an_unused_window_does_not_grow(void **state)
{
	struct feedback_settings s = settings(2, 20, "1", "1");
	struct window w;

	window_init(&w, &s);
	for (int i = 0; i < 20; i++)
		window_success(&w, &s, 0);
	assert_int_equal(w.size, 3);
}

static void smaller_steps_in_wider_windows(void **state)
{
	struct feedback_settings s = settings(4, 100, "1/concurrency", "1/concurrency");
	struct window w;

	window_init(&w, &s);
	for (int i = 0; i < 4; i++)
		window_success(&w, &s, 4);
	assert_int_equal(w.size, 5);
	for (int i = 0; i < 5; i++)
		window_success(&w, &s, 5);
	assert_int_equal(w.size, 6);
}

static void failures_narrow_and_kill(void **state)
{
	struct feedback_settings s = settings(5, 20, "1", "1");
	struct window w;
	int failures = 1;

	window_init(&w, &s);
	while (!window_failure(&w, &s))
		failures++;
	assert_in_range(failures, 3, 5);
	window_init(&w, &s);
	assert_false(window_failure(&w, &s));
	assert_int_equal(w.size, 4);
	window_success(&w, &s, 3);
	assert_true(w.cohorts == 0);
}

static void one_delivery_at_a_time_dies_at_once(void **state)
{
	struct feedback_settings s = settings(1, 1, "1", "1");
	struct window w;

	window_init(&w, &s);
	assert_true(window_failure(&w, &s));
}

static void no_cohort_limit_never_dies(void **state)
{
	struct feedback_settings s = settings(5, 20, "1", "1");
	struct window w;

	s.cohort_limit = 0;
	window_init(&w, &s);
	for (int i = 0; i < 100; i++)
		assert_false(window_failure(&w, &s));
	assert_int_equal(w.size, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(amounts_are_parsed),
		cmocka_unit_test(success_widens_to_the_limit),
		cmocka_unit_test(an_unused_window_does_not_grow),
		cmocka_unit_test(smaller_steps_in_wider_windows),
		cmocka_unit_test(failures_narrow_and_kill),
		cmocka_unit_test(one_delivery_at_a_time_dies_at_once),
		cmocka_unit_test(no_cohort_limit_never_dies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
