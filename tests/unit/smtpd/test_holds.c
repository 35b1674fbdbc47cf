#include "smtpd/holds.h"

#include "base/mem.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PLACES 8

struct world {
	uint64_t dead; /* identities up to this one */
	unsigned lost;
	uint64_t sum;
};

static bool is_alive(void *arg, uint64_t identity)
{
	return identity > ((struct world *)arg)->dead;
}

static void count_lost(void *arg, uint64_t key)
{
	struct world *w = arg;

	w->lost++;
	w->sum += key;
}

static struct holds process(void *memory, uint64_t self, struct world *w)
{
	struct holds h;

	holds_init(&h, memory, (size_t)PLACES * HOLD_BYTES, self, is_alive, w);
	return h;
}

static void test_of_the_dead(void **state)
{
	void *memory = x_alloc((size_t)PLACES * HOLD_BYTES);
	struct world w = {0};
	struct holds one = process(memory, 1, &w), two = process(memory, 2, &w),
		     three = process(memory, 3, &w);
	size_t given = holds_take(&one, 10);

	assert_true(given > 0 && holds_take(&one, 20) > 0 && holds_take(&one, 20) > 0 &&
		    holds_take(&two, 40) > 0);
	holds_give(&one, given);
	holds_reclaim(&three, count_lost, &w);
	assert_int_equal(w.lost, 0);
	w.dead = 1;
	holds_reclaim(&three, count_lost, &w);
	assert_int_equal(w.lost, 2);
	assert_int_equal(w.sum, 40);
	holds_reclaim(&two, count_lost, &w);
	assert_int_equal(w.lost, 2);
	x_free(&memory);
}

static void test_full(void **state)
{
	void *memory = x_alloc((size_t)PLACES * HOLD_BYTES);
	struct world w = {0};
	struct holds one = process(memory, 1, &w), two = process(memory, 2, &w),
		     none = process(memory, 0, &w);

	assert_int_equal(holds_take(&none, 1), 0);
	for (int i = 0; i < PLACES; i++)
		assert_true(holds_take(&one, 1) > 0);
	assert_int_equal(holds_take(&two, 1), 0);
	holds_give(&two, 0);
	w.dead = 1;
	holds_reclaim(&none, count_lost, &w);
	assert_int_equal(w.lost, 0);
	holds_reclaim(&two, count_lost, &w);
	assert_int_equal(w.lost, PLACES);
	assert_true(holds_take(&two, 1) > 0);
	x_free(&memory);
}

static void *take_and_give(void *arg)
{
	struct holds *h = arg;

	for (int i = 0; i < 20000; i++)
		holds_give(h, holds_take(h, 7));
	return NULL;
}

static void *reclaim_often(void *arg)
{
	struct holds *h = arg;

	for (int i = 0; i < 20000; i++)
		holds_reclaim(h, count_lost, h->arg);
	return NULL;
}

static void test_threads(void **state)
{
	void *memory = x_alloc((size_t)PLACES * HOLD_BYTES);
	struct world w = {.dead = 1};
	struct holds dead = process(memory, 1, &w), one = process(memory, 2, &w),
		     two = process(memory, 3, &w);
	pthread_t threads[3];

	holds_take(&dead, 9);
	pthread_create(&threads[0], NULL, take_and_give, &one);
	pthread_create(&threads[1], NULL, take_and_give, &one);
	pthread_create(&threads[2], NULL, reclaim_often, &two);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(w.lost, 1);
	assert_int_equal(w.sum, 9);
	x_free(&memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_the_dead),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
