#include "base/clock.h"
#include "verify/verify_entry.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DAY (86400 * US_PER_SEC)
#define NOW (20000 * DAY)

static const struct verify_times times = {.positive_expire = 31 * DAY,
	.positive_refresh = 7 * DAY,
	.negative_expire = 3 * DAY,
	.negative_refresh = DAY / 8,
	.negative_cache = true};

static void test_form(void **state)
{
	struct verify_entry e = {VERIFY_UNDELIVERABLE, 5, 7, STR("550 no: never\r\x1b[1m\xff")}, back;
	struct buf out = BUF(VERIFY_VALUE_MAX);

	verify_entry_print(&e, &out);
	assert_string_equal(buf_cstr(&out), "-:5:7:550 no: never  [1m ");
	assert_true(verify_entry_parse(buf_slice(&out), &back));
	assert_int_equal(back.status, VERIFY_UNDELIVERABLE);
	assert_int_equal(back.probed_us, 5);
	assert_int_equal(back.updated_us, 7);
	assert_true(str_is(back.text, "550 no: never  [1m "));
	buf_free(&out);
}

/* A long text is cut between characters. */
static void test_long_text(void **state)
{
	char text[3000];
	struct verify_entry e = {VERIFY_DEFERRED, 1, 2, {text, 0}}, back;
	struct buf out = BUF(VERIFY_VALUE_MAX);

	text[e.text.n++] = 'x';
	while (e.text.n + 2 <= sizeof(text)) {
		memcpy(text + e.text.n, "\xc3\xa4", 2);
		e.text.n += 2;
	}
	verify_entry_print(&e, &out);
	assert_false(out.over);
	assert_true(verify_entry_parse(buf_slice(&out), &back));
	assert_int_equal(back.text.n, VERIFY_TEXT_MAX - 1);
	buf_free(&out);
}

static void test_damaged(void **state)
{
	static const char *const bad[] = {"", "+", "+:1", "+:1:2",
		"x:1:2:", "++:1:2:", "+:-1:2:", "+:1:x:", "+:1::", "+:99999999999999999999:1:", "-:1:2:a\nb",
		"-:1:2:\xff"};
	struct verify_entry e;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(verify_entry_parse(str_c(bad[i]), &e));
	assert_true(verify_entry_parse(STR("?:1:0:"), &e));
}

/* Ages in days; whether the entry counts, and whether a probe is due. */
static const struct {
	enum verify_status status;
	double probed, updated;
	bool counts, due;
} rows[] = {
	{VERIFY_DELIVERABLE, 100, 1, true, false},
	{VERIFY_DELIVERABLE, 100, 8, true, true},
	{VERIFY_DELIVERABLE, 0.001, 8, true, false},
	{VERIFY_DELIVERABLE, 100, 32, false, true},
	{VERIFY_UNDELIVERABLE, 100, 0.1, true, false},
	{VERIFY_UNDELIVERABLE, 100, 0.2, true, true},
	{VERIFY_UNDELIVERABLE, 100, 3.1, false, true},
	{VERIFY_DEFERRED, 100, 0.2, true, true},
	{VERIFY_DEFERRED, 100, 3.1, false, true},
	{VERIFY_UNKNOWN, 0.001, 20000, true, false},
	{VERIFY_UNKNOWN, 1, 20000, false, false},
};

static void test_times(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct verify_entry e = {.status = rows[i].status,
			.probed_us = NOW - (int64_t)(rows[i].probed * DAY),
			.updated_us = NOW - (int64_t)(rows[i].updated * DAY)};

		assert_int_equal(verify_entry_counts(&e, &times, NOW, NOW), rows[i].counts);
		if (rows[i].counts)
			assert_int_equal(verify_entry_due(&e, &times, NOW), rows[i].due);
	}
}

static void test_without_negative_cache(void **state)
{
	struct verify_times t = times;
	struct verify_entry e = {.status = VERIFY_UNDELIVERABLE, .updated_us = NOW - 5};

	t.negative_cache = false;
	assert_false(verify_entry_counts(&e, &t, NOW, NOW));
	assert_true(verify_entry_counts(&e, &t, NOW - 10, NOW));
	e.status = VERIFY_DELIVERABLE;
	assert_true(verify_entry_counts(&e, &t, NOW, NOW));
}

/* Without a persistent table, what is from before the start counts for nothing. */
static void test_since(void **state)
{
	struct verify_times t = times;
	struct verify_entry e = {.status = VERIFY_DELIVERABLE, .updated_us = NOW - 5};

	t.since = NOW - 10;
	assert_true(verify_entry_counts(&e, &t, NOW, NOW));
	t.since = NOW - 1;
	assert_false(verify_entry_counts(&e, &t, NOW, NOW));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_without_negative_cache),
		cmocka_unit_test(test_since),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
