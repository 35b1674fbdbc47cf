/* What is known of messages outside the active queue, and the time of the next attempt. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/clock.h"
#include "qmgr/known.h"
#include "qmgr/message.h"

static struct queue_id id_of(int n)
{
	struct queue_id id;

	snprintf(id.text, sizeof(id.text), "%013d", n);
	return id;
}

static int number(const struct known_message *m)
{
	uint64_t n = 0;

	assert_true(str_to_u64(str_c(m->id.text), 1000000, &n));
	return (int)n;
}

static void new_mail_in_order(void **state)
{
	struct known k;
	struct queue_id id;

	known_init(&k);
	for (int i = 0; i < 5; i++) {
		id = id_of(i);
		assert_non_null(known_add_incoming(&k, &id));
		assert_null(known_add_incoming(&k, &id));
	}
	for (int i = 0; i < 5; i++)
		assert_int_equal(number(known_next(&k, 0)), i);
	assert_null(known_next(&k, 0));
	known_free(&k);
}

static void deferred_by_time(void **state)
{
	static const int due[] = {500, 100, 300, 200, 400};
	struct known k;
	struct queue_id id;

	known_init(&k);
	for (int i = 0; i < 5; i++) {
		id = id_of(i);
		known_add_deferred(&k, QUEUE_DEFERRED, &id, due[i]);
	}
	assert_null(known_next(&k, 99));
	assert_true(known_next_due(&k) == 100);
	assert_int_equal(number(known_next(&k, 250)), 1);
	assert_int_equal(number(known_next(&k, 250)), 3);
	assert_null(known_next(&k, 250));
	known_flush(&k, 250);
	for (int i = 0; i < 3; i++) {
		struct known_message *m = known_next(&k, 250);

		assert_non_null(m);
		assert_true(m->urgent);
	}
	assert_null(known_next(&k, 250));
	known_free(&k);
}

static void new_and_deferred_take_turns(void **state)
{
	struct known k;
	struct queue_id id;
	int fresh = 0;

	known_init(&k);
	for (int i = 0; i < 10; i++) {
		id = id_of(i);
		known_add_incoming(&k, &id);
		id = id_of(100 + i);
		known_add_deferred(&k, QUEUE_DEFERRED, &id, i);
	}
	for (int i = 0; i < 10; i++)
		fresh += number(known_next(&k, 1000)) < 100;
	assert_int_equal(fresh, 5);
	known_free(&k);
}

static void messages_move_and_go(void **state)
{
	struct known k;
	struct queue_id id = id_of(1);
	struct known_message *m;

	known_init(&k);
	m = known_add_incoming(&k, &id);
	known_defer(&k, m, QUEUE_DEFERRED, 50);
	assert_null(known_next(&k, 10));
	assert_ptr_equal(known_next(&k, 50), m);
	assert_int_equal(m->queue, QUEUE_DEFERRED);
	known_defer(&k, m, QUEUE_DEFERRED, 90);
	assert_ptr_equal(known_find(&k, &id), m);
	known_drop(&k, m);
	assert_null(known_find(&k, &id));
	assert_null(known_next(&k, 1000));
	known_free(&k);
}

/* minimal 300 s, maximal 4000 s: the wait is the age, held between the two. */
static void waiting_doubles_with_age(void **state)
{
	static const struct {
		int age, wait;
	} cases[] = {
		{0, 300}, {-50, 300}, {299, 300}, {301, 301}, {1000, 1000}, {3999, 3999}, {100000, 4000}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t now = 1000000 * US_PER_SEC, arrival = now - cases[i].age * US_PER_SEC;

		assert_true(backoff_next(now, arrival, 300, 4000) == now + cases[i].wait * US_PER_SEC);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_mail_in_order),
		cmocka_unit_test(deferred_by_time),
		cmocka_unit_test(new_and_deferred_take_turns),
		cmocka_unit_test(messages_move_and_go),
		cmocka_unit_test(waiting_doubles_with_age),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
