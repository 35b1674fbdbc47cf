#include "base/mem.h"
#include "base/net.h"
#include "base/slots.h"
#include "base/sys.h"
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static struct slots *make(int max, int64_t idle_ns)
{
	struct slots_options o = {.max_slots = max, .idle_ns = idle_ns, .name = "test"};
	struct slots *s = slots_new(&o, NULL);

	assert_non_null(s);
	return s;
}

static void finish(struct slots **s)
{
	assert_true(slots_stop(*s, deadline_in(30)));
	slots_free(s);
	assert_null(*s);
}

static void wait_for(const atomic_int *value, int wanted)
{
	int64_t deadline = deadline_in(30);

	while (atomic_load(value) != wanted && clock_left_ms(deadline) > 0)
		usleep(500);
	assert_int_equal(atomic_load(value), wanted);
}

/* ---- running */

struct counter {
	struct task task;
	atomic_int *count;
	int again;
	struct slots *slots;
};

static void count_run(struct task *task, struct slot *slot, enum task_wake why)
{
	struct counter *c = container_of(task, struct counter, task);

	assert_int_equal(why, TASK_START);
	if (c->again-- > 0)
		slots_submit(c->slots, task);
	else
		atomic_fetch_add(c->count, 1);
}

static void run_counters(int max_slots, int max_use, int64_t idle_ns)
{
	enum { COUNT = 500 };
	struct slots_options o = {.max_slots = max_slots, .idle_ns = idle_ns, .max_use = max_use};
	struct slots *s = slots_new(&o, NULL);
	struct counter *c = x_alloc(COUNT * sizeof(*c));
	atomic_int count = 0;

	for (int i = 0; i < COUNT; i++) {
		c[i] = (struct counter){
			.task = {.run = count_run}, .count = &count, .again = i % 5, .slots = s};
		slots_submit(s, &c[i].task);
		assert_true(slots_load(s).threads <= max_slots);
	}
	wait_for(&count, COUNT);
	finish(&s);
	x_free(&c);
}

static void test_submit(void **state)
{
	run_counters(1, 0, NS_PER_SEC);
	run_counters(8, 0, NS_PER_SEC);
	run_counters(8, 3, NS_PER_SEC);
	run_counters(4, 1, NS_PER_SEC);
	run_counters(4, 0, 0);
}

static atomic_int caches_made, caches_ended;

static void *cache_start(void *arg)
{
	atomic_fetch_add(&caches_made, 1);
	return arg;
}

static void cache_end(void *cache, void *arg)
{
	assert_ptr_equal(cache, arg);
	atomic_fetch_add(&caches_ended, 1);
}

static void cache_run(struct task *task, struct slot *slot, enum task_wake why)
{
	sigset_t blocked;

	assert_ptr_equal(slot_cache(slot), &caches_made);
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	assert_true(sigismember(&blocked, SIGTERM));
	atomic_fetch_add(container_of(task, struct counter, task)->count, 1);
}

static void test_slots_have_caches_and_end_when_idle(void **state)
{
	struct slots_options o = {.max_slots = 3,
		.idle_ns = 50 * NS_PER_MS,
		.slot_start = cache_start,
		.slot_end = cache_end,
		.arg = &caches_made};
	struct slots *s = slots_new(&o, NULL);
	atomic_int count = 0;
	struct counter c = {.task = {.run = cache_run}, .count = &count};
	int64_t deadline = deadline_in(10);

	slots_submit(s, &c.task);
	wait_for(&count, 1);
	while (slots_load(s).threads > 0 && clock_left_ms(deadline) > 0)
		usleep(1000);
	assert_int_equal(slots_load(s).threads, 0);
	assert_int_equal(atomic_load(&caches_made), 1);
	assert_int_equal(atomic_load(&caches_ended), 1);
	slots_submit(s, &c.task);
	wait_for(&count, 2);
	finish(&s);
	assert_int_equal(atomic_load(&caches_ended), 2);
}

static rlim_t address_space(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* Without room for a stack no thread can be made; the task waits and runs when there is room again. */
static void test_no_threads_for_a_while(void **state)
{
#ifdef POSTERN_SANITIZED
	skip();
#endif
	struct slots *s = make(2, NS_PER_SEC);
	atomic_int count = 0;
	struct counter c = {.task = {.run = count_run}, .count = &count};
	struct rlimit limit, low;

	assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
	low = limit;
	low.rlim_cur = address_space() + 200000; /* less than a stack, enough for the heap */
	assert_int_equal(setrlimit(RLIMIT_AS, &low), 0);
	slots_submit(s, &c.task);
	usleep(250000);
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
	assert_int_equal(atomic_load(&count), 0);
	assert_int_equal(slots_load(s).queued, 1);
	wait_for(&count, 1);
	finish(&s);
}

/* ---- parking */

struct session {
	struct task task;
	struct slots *slots;
	int fd, peer;
	int rounds;
	int64_t wait_ns;
	atomic_int *ended;
	atomic_int wakes[4];
};

static void session_run(struct task *task, struct slot *slot, enum task_wake why)
{
	struct session *x = container_of(task, struct session, task);
	char c;

	atomic_fetch_add(&x->wakes[why], 1);
	if (why == TASK_READY && read(x->fd, &c, 1) == 1)
		x->rounds--;
	if (why == TASK_TIMEOUT || why == TASK_SHUTDOWN || x->rounds == 0) {
		atomic_fetch_add(x->ended, 1);
		return;
	}
	slots_park(x->slots, task, x->fd, x->wait_ns ? clock_mono() + x->wait_ns : INT64_MAX);
}

static void session_init(struct session *x, struct slots *s, int rounds, int64_t wait_ns, atomic_int *ended)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	*x = (struct session){.task = {.run = session_run},
		.slots = s,
		.fd = pair[0],
		.peer = pair[1],
		.rounds = rounds,
		.wait_ns = wait_ns,
		.ended = ended};
}

static void session_close(struct session *x)
{
	close(x->fd);
	close(x->peer);
}

static void test_parked_session_wakes_for_input(void **state)
{
	struct slots *s = make(2, NS_PER_SEC);
	atomic_int ended = 0;
	struct session x;

	session_init(&x, s, 100, 60 * NS_PER_SEC, &ended);
	slots_submit(s, &x.task);
	for (int i = 0; i < 100; i++)
		assert_int_equal(write(x.peer, "x", 1), 1);
	wait_for(&ended, 1);
	assert_int_equal(x.wakes[TASK_START], 1);
	assert_int_equal(x.wakes[TASK_TIMEOUT], 0);
	session_close(&x);
	finish(&s);
}

static void test_parked_session_wakes_for_hangup(void **state)
{
	struct slots *s = make(2, NS_PER_SEC);
	atomic_int ended = 0;
	struct session x;

	session_init(&x, s, 2, 0, &ended);
	x.wait_ns = 60 * NS_PER_SEC;
	slots_submit(s, &x.task);
	shutdown(x.peer, SHUT_WR);
	for (int i = 0; i < 5000 && atomic_load(&x.wakes[TASK_READY]) == 0; i++)
		usleep(1000);
	assert_true(atomic_load(&x.wakes[TASK_READY]) > 0);
	finish(&s);
	session_close(&x);
}

static void test_parked_session_times_out(void **state)
{
	struct slots *s = make(2, NS_PER_SEC);
	atomic_int ended = 0;
	struct session x, y;
	int64_t begin = clock_mono();

	session_init(&y, s, 1, 60 * NS_PER_SEC, &ended);
	slots_submit(s, &y.task);
	usleep(20000);
	session_init(&x, s, 1, 100 * NS_PER_MS, &ended);
	slots_submit(s, &x.task);
	wait_for(&ended, 1);
	assert_true(clock_mono() - begin >= 100 * NS_PER_MS && clock_mono() - begin < 30 * NS_PER_SEC);
	assert_int_equal(x.wakes[TASK_TIMEOUT], 1);
	finish(&s);
	assert_int_equal(y.wakes[TASK_SHUTDOWN], 1);
	session_close(&x);
	session_close(&y);
}

static void test_time_only_and_unwatchable_descriptor(void **state)
{
	struct slots *s = make(2, NS_PER_SEC);
	atomic_int ended = 0;
	struct session x = {.task = {.run = session_run},
		.slots = s,
		.fd = -1,
		.rounds = 1,
		.wait_ns = 50 * NS_PER_MS,
		.ended = &ended};
	struct session y = {.task = {.run = session_run},
		.slots = s,
		.fd = open("/dev/zero", O_RDONLY),
		.rounds = 3,
		.wait_ns = 60 * NS_PER_SEC,
		.ended = &ended};

	slots_submit(s, &x.task);
	slots_submit(s, &y.task);
	wait_for(&ended, 2);
	assert_int_equal(x.wakes[TASK_TIMEOUT], 1);
	assert_int_equal(y.wakes[TASK_READY], 3);
	close(y.fd);
	finish(&s);
}

static void test_unpark(void **state)
{
	struct slots *s = make(2, NS_PER_SEC);
	atomic_int ended = 0;
	struct session x;

	session_init(&x, s, 1, 0, &ended);
	slots_park(s, &x.task, x.fd, INT64_MAX);
	assert_int_equal(slots_load(s).parked, 1);
	assert_true(slots_unpark(s, &x.task));
	assert_false(slots_unpark(s, &x.task));
	assert_int_equal(slots_load(s).parked, 0);
	assert_int_equal(write(x.peer, "x", 1), 1);
	usleep(20000);
	assert_int_equal(atomic_load(&ended), 0);
	slots_park(s, &x.task, x.fd, INT64_MAX);
	wait_for(&ended, 1);
	session_close(&x);
	finish(&s);
}

/* Two threads race for the task: exactly one gets it, and its memory is freed at once. */
static void test_unpark_race(void **state)
{
	struct slots *s = make(2, NS_PER_SEC);
	atomic_int ended = 0;
	int taken = 0, rounds = 3000;

	for (int i = 0; i < rounds; i++) {
		struct session *x = x_alloc(sizeof(*x));
		int before = atomic_load(&ended);

		session_init(x, s, 1, 0, &ended);
		slots_park(s, &x->task, x->fd, i % 3 ? INT64_MAX : clock_mono());
		assert_int_equal(write(x->peer, "x", 1), 1);
		if (i % 2)
			sched_yield();
		if (slots_unpark(s, &x->task))
			taken++;
		else
			wait_for(&ended, before + 1);
		session_close(x);
		x_free(&x);
	}
	assert_int_equal(taken + atomic_load(&ended), rounds);
	finish(&s);
}

static void many(int count, int slots)
{
	struct slots *s = make(slots, NS_PER_SEC);
	struct session *x = x_alloc((size_t)count * sizeof(*x));
	atomic_int ended = 0;
	int64_t deadline = deadline_in(30);

	for (int i = 0; i < count; i++) {
		session_init(&x[i], s, 2, 300 * NS_PER_SEC, &ended);
		slots_submit(s, &x[i].task);
	}
	while (slots_load(s).parked < count && clock_left_ms(deadline) > 0)
		usleep(1000);
	assert_int_equal(slots_load(s).parked, count);
	for (int i = 0; i < count; i += 2)
		assert_int_equal(write(x[i].peer, "xy", 2), 2);
	wait_for(&ended, count / 2);
	finish(&s);
	for (int i = 0; i < count; i++) {
		assert_int_equal(x[i].wakes[TASK_SHUTDOWN], i % 2);
		session_close(&x[i]);
	}
	x_free(&x);
}

static void test_many_parked(void **state)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	many(500, 4);
	if (limit.rlim_cur > 41000)
		many(20000, 8);
}

/* ---- watching */

struct door {
	struct slots *slots;
	int listener;
	atomic_int knocks;
};

static void door_ready(int fd, void *arg)
{
	struct door *door = arg;
	struct net_addr peer;
	int client;

	atomic_fetch_add(&door->knocks, 1);
	client = net_accept(fd, &peer);
	sys_close(&client);
}

static int open_door(struct net_addr *a)
{
	int fd;

	assert_true(net_parse_ip(STR("127.0.0.1"), 0, a));
	fd = net_listen(a, 100, NULL);
	assert_true(fd >= 0);
	assert_true(net_local(fd, a));
	return fd;
}

static void knock(const struct net_addr *a)
{
	int fd = net_connect(a, NULL, deadline_in(5), NULL);

	assert_true(fd >= 0);
	close(fd);
}

static void test_watch(void **state)
{
	struct slots *s = make(2, NS_PER_SEC);
	struct net_addr a;
	struct door door = {.slots = s, .listener = open_door(&a)};

	assert_true(slots_watch(s, door.listener, true, door_ready, &door, NULL));
	for (int i = 1; i <= 20; i++) {
		knock(&a);
		wait_for(&door.knocks, i);
	}
	slots_unwatch(s, door.listener);
	slots_unwatch(s, door.listener);
	assert_false(slots_watch(s, -1, false, door_ready, &door, NULL));
	knock(&a);
	usleep(20000);
	assert_int_equal(atomic_load(&door.knocks), 20);
	finish(&s);
	close(door.listener);
}

static void tick(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

static void test_tick(void **state)
{
	struct slots *s = make(1, NS_PER_SEC);
	atomic_int ticks = 0;
	int64_t begin = clock_mono();

	slots_tick(s, 20, tick, &ticks);
	while (atomic_load(&ticks) < 5 && clock_mono() - begin < 30 * NS_PER_SEC)
		usleep(1000);
	assert_true(atomic_load(&ticks) >= 5);
	assert_true(clock_mono() - begin >= 5 * 20 * NS_PER_MS);
	finish(&s);
}

/* Whoever is woken first leaves the connection and the listener to the other, as a worker without a free slot
 * does. The kernel tells nobody a second time. */
struct leaver {
	struct slots *slots;
	atomic_int *knocks, *taken;
};

static void leaver_ready(int fd, void *arg)
{
	struct leaver *l = arg;
	struct net_addr peer;
	int client;

	if (atomic_fetch_add(l->knocks, 1) == 0) {
		slots_unwatch(l->slots, fd);
		return;
	}
	client = net_accept(fd, &peer);
	if (client >= 0)
		atomic_fetch_add(l->taken, 1);
	sys_close(&client);
}

static void test_who_is_left_a_connection_sees_it(void **state)
{
	atomic_int knocks = 0, taken = 0, ticks = 0;
	struct leaver l[2];
	struct net_addr a;
	int listener = open_door(&a);

	for (int i = 0; i < 2; i++) {
		l[i] = (struct leaver){.slots = make(1, NS_PER_SEC), .knocks = &knocks, .taken = &taken};
		assert_true(slots_watch(l[i].slots, listener, true, leaver_ready, &l[i], NULL));
		slots_tick(l[i].slots, 20, tick, &ticks);
	}
	knock(&a);
	wait_for(&taken, 1);
	for (int i = 0; i < 2; i++)
		finish(&l[i].slots);
	close(listener);
}

/* ---- stopping */

struct gate {
	struct task task;
	atomic_int begun, open;
};

static void gate_run(struct task *task, struct slot *slot, enum task_wake why)
{
	struct gate *g = container_of(task, struct gate, task);

	atomic_store(&g->begun, 1);
	wait_for(&g->open, 1);
}

static void test_stop_has_a_deadline(void **state)
{
	struct slots *s = make(1, NS_PER_SEC);
	struct gate stubborn = {.task = {.run = gate_run}};

	slots_submit(s, &stubborn.task);
	assert_false(slots_stop(s, clock_mono() + 50 * NS_PER_MS));
	atomic_store(&stubborn.open, 1);
	finish(&s);
	assert_int_equal(atomic_load(&stubborn.begun), 1);
}

static void test_parking_while_stopping(void **state)
{
	struct slots *s = make(1, NS_PER_SEC);
	atomic_int ended = 0;
	struct session x;

	session_init(&x, s, 1, 60 * NS_PER_SEC, &ended);
	assert_true(slots_stop(s, deadline_in(5)));
	slots_park(s, &x.task, x.fd, INT64_MAX);
	finish(&s);
	assert_int_equal(x.wakes[TASK_SHUTDOWN], 1);
	session_close(&x);
	slots_free(&s);
}

/* ---- the watchdog's question */

static void test_overdue_counts_tasks_that_began_before(void **state)
{
	struct slots *s = make(4, NS_PER_SEC);
	struct gate a = {.task = {.run = gate_run}}, b = {.task = {.run = gate_run}};
	int64_t between;

	slots_submit(s, &a.task);
	wait_for(&a.begun, 1);
	usleep(1000);
	between = clock_mono();
	slots_submit(s, &b.task);
	wait_for(&b.begun, 1);
	assert_int_equal(slots_overdue(s, between), 1);
	assert_int_equal(slots_overdue(s, clock_mono() + NS_PER_SEC), 2);
	assert_int_equal(slots_overdue(s, between - NS_PER_SEC), 0);
	atomic_store(&a.open, 1);
	atomic_store(&b.open, 1);
	while (slots_load(s).running > 0)
		usleep(500);
	assert_int_equal(slots_overdue(s, clock_mono() + NS_PER_SEC), 0);
	finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_no_threads_for_a_while), /* first: no stack of an ended thread is left over */
		cmocka_unit_test(test_submit),
		cmocka_unit_test(test_slots_have_caches_and_end_when_idle),
		cmocka_unit_test(test_parked_session_wakes_for_input),
		cmocka_unit_test(test_parked_session_wakes_for_hangup),
		cmocka_unit_test(test_parked_session_times_out),
		cmocka_unit_test(test_time_only_and_unwatchable_descriptor),
		cmocka_unit_test(test_unpark),
		cmocka_unit_test(test_unpark_race),
		cmocka_unit_test(test_many_parked),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_tick),
		cmocka_unit_test(test_who_is_left_a_connection_sees_it),
		cmocka_unit_test(test_stop_has_a_deadline),
		cmocka_unit_test(test_parking_while_stopping),
		cmocka_unit_test(test_overdue_counts_tasks_that_began_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
