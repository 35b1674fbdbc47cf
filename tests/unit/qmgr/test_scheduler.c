/* Which delivery is next, with a fake clock and no agents: a "message" is a number. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "qmgr/scheduler.h"

struct world {
	struct sched sched;
	struct transport_settings set;
	struct pool *pool;
	int64_t now;
	struct list jobs; /* all of them, only kept */
};

static void settings(void *arg, const char *transport, struct transport_settings *out)
{
	*out = ((struct world *)arg)->set;
}

static const struct transport_settings plain = {
	.feedback = {.initial = 5,
		.limit = 20,
		.cohort_limit = 1,
		.positive = {1, FEEDBACK_CONSTANT},
		.negative = {1, FEEDBACK_CONSTANT}},
	.recipient_limit = 50,
	.process_limit = 100,
	.slot_cost = 5,
	.slot_loan = 3,
	.slot_discount = 50,
	.minimum_slots = 3,
	.dead_time = 300,
	.retry_time = 60,
};

static int setup(void **state)
{
	struct world *w = x_alloc(sizeof(*w));

	w->set = plain;
	w->pool = pool_new(4096);
	w->now = 1000 * NS_PER_SEC;
	list_init(&w->jobs);
	sched_init(&w->sched, settings, w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	sched_free(&w->sched);
	pool_free(&w->pool);
	x_free(&w);
	return 0;
}

static struct transport *transport(struct world *w)
{
	return sched_transport(&w->sched, STR("smtp"));
}

/* A message for `count` requests, spread over `sites` destinations named by prefix and number. */
static struct job *message(struct world *w, intptr_t number, const char *prefix, int count, int sites)
{
	struct transport *t = transport(w);
	struct job *job = sched_job(t, w->pool, (void *)number, &w->jobs);
	uint32_t index = 0;

	for (int site = 0; site < sites; site++) {
		const char *name = pool_printf(w->pool, "%s%d", prefix, site);

		for (int i = site; i < count; i += sites)
			sched_add(job, sched_dest(t, str_c(name), str_c(name)), w->pool, &index, 1);
	}
	sched_job_ready(job);
	return job;
}

static intptr_t number_of(const struct entry *e)
{
	return (intptr_t)e->peer->job->message;
}

static void succeed(struct world *w, struct entry *e)
{
	struct dest *d = e->peer->dest;

	assert_false(sched_done(e, SCHED_GOOD, NULL, w->now));
	sched_release(d);
}

/* Delivers one after the other; the position (from 1) at which message `number` was delivered completely. */
static int finished_at(struct world *w, intptr_t number, int limit)
{
	int last = 0;
	struct entry *e;

	for (int i = 1; i <= limit && (e = sched_pick(transport(w), w->now)) != NULL; i++) {
		if (number_of(e) == number)
			last = i;
		succeed(w, e);
	}
	return last;
}

static void first_come_first_served(void **state)
{
	struct world *w = *state;

	for (intptr_t i = 1; i <= 10; i++)
		message(w, i, "site", 1, 1);
	for (intptr_t i = 1; i <= 10; i++) {
		struct entry *e = sched_pick(transport(w), w->now);

		assert_int_equal(number_of(e), i);
		succeed(w, e);
	}
	assert_null(sched_pick(transport(w), w->now));
}

static void window_limits_a_destination(void **state)
{
	struct world *w = *state;
	struct entry *picked[5];

	message(w, 1, "site", 30, 1);
	for (int i = 0; i < 5; i++)
		assert_non_null(picked[i] = sched_pick(transport(w), w->now));
	assert_null(sched_pick(transport(w), w->now));
	assert_false(sched_has_waiting(transport(w)));
	succeed(w, picked[0]);
	assert_true(sched_has_waiting(transport(w)));
	assert_non_null(sched_pick(transport(w), w->now));
	assert_non_null(sched_pick(transport(w), w->now)); /* the window has grown to 6 */
	assert_null(sched_pick(transport(w), w->now));
}

static void a_blocked_site_does_not_block_others(void **state)
{
	struct world *w = *state;
	int fast = 0;

	message(w, 1, "slow", 30, 1);
	message(w, 2, "fast", 1, 1);
	for (int i = 0; i < 6; i++)
		fast += number_of(sched_pick(transport(w), w->now)) == 2;
	assert_int_equal(fast, 1);
	assert_null(sched_pick(transport(w), w->now));
}

static void destinations_take_turns(void **state)
{
	struct world *w = *state;

	message(w, 1, "site", 12, 4);
	for (int round = 0; round < 3; round++) {
		const struct dest *seen[4];

		for (int i = 0; i < 4; i++) {
			struct entry *e = sched_pick(transport(w), w->now);

			seen[i] = e->peer->dest;
			for (int k = 0; k < i; k++)
				assert_ptr_not_equal(seen[k], seen[i]);
		}
	}
}

static void process_limit_holds(void **state)
{
	struct world *w = *state;

	w->set.process_limit = 3;
	message(w, 1, "site", 12, 12);
	for (int i = 0; i < 3; i++)
		assert_non_null(sched_pick(transport(w), w->now));
	assert_null(sched_pick(transport(w), w->now));
}

static void small_mail_passes_a_huge_one(void **state)
{
	struct world *w = *state;

	message(w, 1, "list", 1000, 500);
	message(w, 2, "friend", 1, 1);
	assert_int_equal(finished_at(w, 2, 2000), 1); /* on the loan */
}

static void small_mail_passes_within_a_destination(void **state)
{
	struct world *w = *state;

	message(w, 1, "same", 1000, 1);
	message(w, 2, "same", 1, 1);
	assert_int_equal(finished_at(w, 2, 2000), 1);
}

/* However much small mail arrives, of six deliveries five are the huge message's. */
static void huge_mail_is_not_starved(void **state)
{
	struct world *w = *state;
	int small = 0;

	message(w, 1, "list", 600, 300);
	for (int i = 0; i < 720; i++) {
		struct entry *e;

		message(w, 2, "friend", 1, 1);
		e = sched_pick(transport(w), w->now);
		small += number_of(e) == 2;
		succeed(w, e);
	}
	assert_in_range(small, 100, 150);
}

static void equals_do_not_preempt(void **state)
{
	struct world *w = *state;

	message(w, 1, "a", 100, 50);
	message(w, 2, "b", 100, 50);
	assert_in_range(finished_at(w, 1, 400), 100, 100);
}

static void trouble_kills_a_destination(void **state)
{
	struct world *w = *state;
	const struct dsn dsn = {
		.action = DSN_DELAYED, .status = "4.4.1", .reason = "connect to site: timed out"};
	struct dest *d;
	struct entry *e;
	int deliveries = 0, drained = 0;

	message(w, 1, "site", 30, 1);
	do {
		e = sched_pick(transport(w), w->now);
		assert_non_null(e);
		d = e->peer->dest;
		deliveries++;
	} while (!sched_done(e, SCHED_TROUBLE, &dsn, w->now));
	assert_in_range(deliveries, 3, 5);
	assert_string_equal(sched_held(d)->text, dsn.reason);
	assert_string_equal(sched_held(d)->status, "4.4.1");
	assert_null(sched_pick(transport(w), w->now));
	while (sched_drain(d) != NULL)
		drained++;
	assert_int_equal(deliveries + drained, 30);
	assert_true(sched_timers(&w->sched, w->now) == w->now + 300 * NS_PER_SEC);
	w->now += 301 * NS_PER_SEC;
	assert_true(sched_timers(&w->sched, w->now) == INT64_MAX);
	message(w, 2, "site", 1, 1);
	assert_non_null(sched_pick(transport(w), w->now));
}

/* One message at a time: the destination is idle between them, its failures are remembered. */
static void failures_of_single_messages_add_up(void **state)
{
	struct world *w = *state;
	const struct dsn dsn = {
		.action = DSN_DELAYED, .status = "4.4.1", .reason = "connect to site: timed out"};
	int deliveries = 0;
	bool died = false;

	for (intptr_t i = 1; i <= 10 && !died; i++) {
		struct entry *e;
		struct dest *d;

		message(w, i, "site", 1, 1);
		e = sched_pick(transport(w), w->now);
		assert_non_null(e);
		d = e->peer->dest;
		died = sched_done(e, SCHED_TROUBLE, &dsn, w->now);
		sched_release(d);
		deliveries++;
	}
	assert_in_range(deliveries, 3, 5);
	w->now += 301 * NS_PER_SEC;
	assert_true(sched_timers(&w->sched, w->now) == INT64_MAX);
	assert_int_equal(hash_count(transport(w)->dests), 0);
}

static void dead_transport_gives_nothing(void **state)
{
	struct world *w = *state;

	message(w, 1, "site", 3, 3);
	sched_kill_transport(transport(w), "4.3.0", "mail transport unavailable", w->now);
	assert_null(sched_pick(transport(w), w->now));
	w->now += 61 * NS_PER_SEC;
	sched_timers(&w->sched, w->now);
	assert_non_null(sched_pick(transport(w), w->now));
}

static void flush_revives(void **state)
{
	struct world *w = *state;

	message(w, 1, "site", 3, 1);
	sched_kill_dest(sched_dest(transport(w), STR("site0"), STR("site0")), "4.4.1", "x", w->now);
	sched_kill_transport(transport(w), "4.3.0", "y", w->now);
	sched_revive_all(&w->sched);
	assert_non_null(sched_pick(transport(w), w->now));
}

static void returned_entries_come_again_first(void **state)
{
	struct world *w = *state;
	struct entry *e;

	message(w, 1, "site", 3, 1);
	e = sched_pick(transport(w), w->now);
	sched_return(e);
	assert_ptr_equal(sched_pick(transport(w), w->now), e);
}

static void rate_delay_spaces_deliveries(void **state)
{
	struct world *w = *state;
	struct entry *e;

	w->set.rate_delay = 5;
	w->set.feedback.initial = w->set.feedback.limit = 1;
	message(w, 1, "site", 3, 1);
	e = sched_pick(transport(w), w->now);
	assert_null(sched_pick(transport(w), w->now));
	succeed(w, e);
	assert_null(sched_pick(transport(w), w->now));
	w->now += 4 * NS_PER_SEC;
	assert_true(sched_timers(&w->sched, w->now) != INT64_MAX);
	assert_null(sched_pick(transport(w), w->now));
	w->now += 2 * NS_PER_SEC;
	sched_timers(&w->sched, w->now);
	assert_non_null(sched_pick(transport(w), w->now));
}

static void transport_rate_delay_spaces_all(void **state)
{
	struct world *w = *state;

	w->set.transport_rate_delay = 2;
	message(w, 1, "site", 3, 3);
	assert_non_null(sched_pick(transport(w), w->now));
	assert_null(sched_pick(transport(w), w->now));
	w->now += 3 * NS_PER_SEC;
	sched_timers(&w->sched, w->now);
	assert_non_null(sched_pick(transport(w), w->now));
}

static void idle_destinations_are_forgotten(void **state)
{
	struct world *w = *state;

	message(w, 1, "site", 100, 100);
	assert_int_equal(hash_count(transport(w)->dests), 100);
	finished_at(w, 1, 1000);
	assert_int_equal(hash_count(transport(w)->dests), 0);
}

static void a_job_can_be_taken_away(void **state)
{
	struct world *w = *state;
	struct job *job = message(w, 1, "site", 10, 5);
	int n = 0;

	message(w, 2, "site", 1, 1);
	while (sched_drain_job(job) != NULL)
		n++;
	assert_int_equal(n, 10);
	assert_int_equal(number_of(sched_pick(transport(w), w->now)), 2);
	assert_null(sched_pick(transport(w), w->now));
}

static void dirty_transports_are_told_once(void **state)
{
	struct world *w = *state;

	message(w, 1, "site", 10, 5);
	assert_ptr_equal(sched_next_dirty(&w->sched), transport(w));
	assert_null(sched_next_dirty(&w->sched));
}

/* 20,000 messages for one destination: each step must stay cheap. */
static void many_messages_stay_cheap(void **state)
{
	struct world *w = *state;
	int64_t start = clock_mono();

	for (intptr_t i = 1; i <= 20000; i++)
		message(w, i, "site", 1, 1);
	assert_int_equal(finished_at(w, 20000, 30000), 20000);
	assert_in_range(clock_mono() - start, 0, 2 * NS_PER_SEC);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_come_first_served),
		TEST(window_limits_a_destination),
		TEST(a_blocked_site_does_not_block_others),
		TEST(destinations_take_turns),
		TEST(process_limit_holds),
		TEST(small_mail_passes_a_huge_one),
		TEST(small_mail_passes_within_a_destination),
		TEST(huge_mail_is_not_starved),
		TEST(equals_do_not_preempt),
		TEST(trouble_kills_a_destination),
		TEST(failures_of_single_messages_add_up),
		TEST(dead_transport_gives_nothing),
		TEST(flush_revives),
		TEST(returned_entries_come_again_first),
		TEST(rate_delay_spaces_deliveries),
		TEST(transport_rate_delay_spaces_all),
		TEST(idle_destinations_are_forgotten),
		TEST(a_job_can_be_taken_away),
		TEST(dirty_transports_are_told_once),
		TEST(many_messages_stay_cheap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
