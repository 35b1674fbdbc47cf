#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "service/shared.h"

static void a_mapping_is_shared_and_cannot_shrink(void **state)
{
	struct err err = {""};
	int fd = shared_create(&err);
	struct shared_area *a = shared_map(fd, &err), *b = shared_map(fd, &err);

	assert_non_null(a);
	assert_non_null(b);
	atomic_store(&a->services[1].workers[2].sessions, 7);
	assert_int_equal(shared_sum(&b->services[1]).sessions, 7);
	assert_int_equal(ftruncate(fd, 10), -1);
	munmap(a, sizeof *a);
	munmap(b, sizeof *b);
	close(fd);
}

static void stress_is_shortage_of_slots(void **state)
{
	static const struct {
		int slots, running, queued;
		bool stressed;
	} cases[] = {{10, 3, 0, false}, {10, 9, 0, false}, {10, 10, 0, true}, {10, 10, 1, true},
		{10, 2, 1, false}, {1, 1, 0, false}, {1, 1, 1, true}, {0, 0, 0, false}};
	struct err err = {""};
	struct shared_area *a = shared_map(-1, &err);

	assert_non_null(a);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct shared_service *s = &a->services[i];

		atomic_store(&s->workers[0].slots, cases[i].slots);
		atomic_store(&s->workers[0].running, cases[i].running);
		atomic_store(&s->workers[0].queued, cases[i].queued);
		assert_int_equal(shared_check_stress(s), cases[i].stressed);
	}
	munmap(a, sizeof *a);
}

static void stress_lasts_a_while_and_ends(void **state)
{
	struct err err = {""};
	struct shared_area *a = shared_map(-1, &err);
	struct shared_service *s = &a->services[0];

	atomic_store(&s->workers[0].slots, 4);
	atomic_store(&s->workers[1].slots, 4);
	atomic_store(&s->workers[0].running, 4);
	assert_false(shared_check_stress(s));
	atomic_store(&s->workers[1].running, 4);
	assert_true(shared_check_stress(s));
	atomic_store(&s->workers[1].running, 0);
	assert_true(shared_check_stress(s));
	atomic_store(&s->stressed_until, clock_mono() - 1);
	assert_false(shared_check_stress(s));
	munmap(a, sizeof *a);
}

static void a_worker_that_takes_nothing_is_not_free(void **state)
{
	struct err err = {""};
	struct shared_area *a = shared_map(-1, &err);
	struct shared_service *s = &a->services[0];

	atomic_store(&s->workers[0].slots, 4);
	assert_false(shared_others_free(s, &s->workers[0]));
	atomic_store(&s->workers[1].slots, 4);
	assert_true(shared_others_free(s, &s->workers[0]));
	atomic_store(&s->workers[1].closed, true);
	assert_false(shared_others_free(s, &s->workers[0]));
	atomic_store(&s->workers[1].closed, false);
	atomic_store(&s->workers[1].running, 3);
	atomic_store(&s->workers[1].queued, 1);
	assert_false(shared_others_free(s, &s->workers[0]));
	munmap(a, sizeof *a);
}

static void ticket_keys_follow_each_other(void **state)
{
	unsigned char first[SHARED_TICKET_KEYS][32], then[SHARED_TICKET_KEYS][32];
	struct err err = {""};
	struct shared_area *a = shared_map(-1, &err);

	assert_int_equal(shared_ticket_keys(a, first), 0);
	assert_true(shared_turn_ticket_keys(a, 3600, &err));
	assert_int_equal(shared_ticket_keys(a, first), 1);
	assert_true(shared_turn_ticket_keys(a, 3600, &err));
	assert_int_equal(shared_ticket_keys(a, then), 1);
	for (int i = 0; i < 3; i++) {
		for (size_t k = 0; k < SHARED_TICKET_KEYS; k++)
			atomic_fetch_sub(&a->ticket_keys[k].made, NS_PER_SEC);
		assert_true(shared_turn_ticket_keys(a, 1, &err));
		assert_int_equal(shared_ticket_keys(a, then), 2);
		assert_memory_equal(then[1], first[0], 32);
		assert_memory_not_equal(then[0], first[0], 32);
		memcpy(first, then, sizeof(first));
	}
	atomic_fetch_add(&a->ticket_keys[0].version, 1);
	assert_int_equal(shared_ticket_keys(a, then), 1);
	assert_true(shared_turn_ticket_keys(a, 0, &err));
	assert_int_equal(shared_ticket_keys(a, then), 0);
	munmap(a, sizeof *a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mapping_is_shared_and_cannot_shrink),
		cmocka_unit_test(stress_is_shortage_of_slots),
		cmocka_unit_test(stress_lasts_a_while_and_ends),
		cmocka_unit_test(ticket_keys_follow_each_other),
		cmocka_unit_test(a_worker_that_takes_nothing_is_not_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
