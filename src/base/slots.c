/* The queue and the slot threads. Idle slots are woken last-used-first, so that few threads stay warm and the
 * others may end. */
#include "base/slots.h"

#include "base/mem.h"
#include "base/slots_private.h"
#include "base/sys.h"
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK_DEFAULT ((size_t)256 << 10)
#define SPAWN_RETRY_NS (100 * NS_PER_MS)
#ifdef POSTERN_SANITIZED
#define STACK_FACTOR 4
#else
#define STACK_FACTOR 1
#endif

static bool attributes_init(struct slots *s, struct err *err)
{
	size_t stack = (s->options.stack_bytes ? s->options.stack_bytes : STACK_DEFAULT) * STACK_FACTOR;
	sigset_t all;
	int error = pthread_attr_init(&s->attributes);

	sigfillset(&all);
	if (stack < (size_t)PTHREAD_STACK_MIN)
		stack = (size_t)PTHREAD_STACK_MIN;
	if (!error)
		error = pthread_attr_setstacksize(&s->attributes, stack);
	if (!error)
		error = pthread_attr_setsigmask_np(&s->attributes, &all);
	errno = error;
	return error == 0 || err_errno(err, "thread attributes");
}

struct slots *slots_new(const struct slots_options *options, struct err *err)
{
	struct slots *s = x_alloc(sizeof(*s));

	s->options = *options;
	if (s->options.max_slots < 1)
		s->options.max_slots = 1;
	snprintf(s->name, sizeof(s->name), "%s", options->name ? options->name : "slot");
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	list_init(&s->queue);
	list_init(&s->idle);
	list_init(&s->busy);
	list_init(&s->finished);
	list_init(&s->parked);
	list_init(&s->watches);
	s->sleep_until = INT64_MIN;
	s->epoll = s->poke_fd = -1;
	if (!attributes_init(s, err) || !slots_waiter_start(s, err))
		slots_free(&s);
	return s;
}

void slots_free(struct slots **s)
{
	if (!*s)
		return;
	sys_close(&(*s)->epoll);
	sys_close(&(*s)->poke_fd);
	pthread_attr_destroy(&(*s)->attributes);
	pthread_mutex_destroy(&(*s)->lock);
	pthread_cond_destroy(&(*s)->changed);
	for (struct list *l; (l = list_shift(&(*s)->watches)) != NULL;)
		free(container_of(l, struct watch, link));
	heap_free(&(*s)->timers);
	x_free(&(*s)->by_fd);
	x_free(s);
}

void *slot_cache(const struct slot *slot)
{
	return slot->cache;
}

/* ---- sleeping and waking of one slot */

static void futex_wake(atomic_int *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* true: woken; false: the time is over. */
static bool slot_sleep(struct slot *slot, int64_t deadline)
{
	while (atomic_load(&slot->wake) == 0) {
		int64_t left = deadline == INT64_MAX ? INT64_MAX : deadline - clock_mono();
		struct timespec ts = {left / NS_PER_SEC, left % NS_PER_SEC};

		if (left <= 0)
			return false;
		syscall(SYS_futex, &slot->wake, FUTEX_WAIT_PRIVATE, 0, left == INT64_MAX ? NULL : &ts, NULL,
			0);
	}
	atomic_store(&slot->wake, 0);
	return true;
}

static void slot_wake(struct slot *slot)
{
	atomic_store(&slot->wake, 1);
	futex_wake(&slot->wake);
}

/* ---- the queue; lock held */

static void show_load(const struct slots *s)
{
	if (s->options.running)
		atomic_store_explicit(s->options.running, s->running, memory_order_relaxed);
	if (s->options.queued)
		atomic_store_explicit(s->options.queued, s->queued, memory_order_relaxed);
}

void slots_enqueue(struct slots *s, struct task *task, enum task_wake why)
{
	task->why = why;
	list_append(&s->queue, &task->link);
	s->queued++;
	show_load(s);
}

static struct task *dequeue(struct slots *s, struct slot *slot)
{
	struct list *first = list_shift(&s->queue);

	if (!first)
		return NULL;
	s->queued--;
	s->running++;
	show_load(s);
	slot->since = clock_mono();
	list_append(&s->busy, &slot->busy);
	return container_of(first, struct task, link);
}

static void *slot_main(void *arg);

static void spawn(struct slots *s)
{
	struct slot *slot = x_alloc(sizeof(*slot));

	slot->owner = s;
	list_init(&slot->link);
	list_init(&slot->busy);
	/* The lock makes slot->thread known before anybody joins it. */
	pthread_mutex_lock(&s->lock);
	if (pthread_create(&slot->thread, &s->attributes, slot_main, slot) == 0) {
		pthread_mutex_unlock(&s->lock);
		return;
	}
	s->threads--;
	s->starting--;
	s->spawn_retry_at = clock_mono() + SPAWN_RETRY_NS;
	pthread_mutex_unlock(&s->lock);
	slots_poke(s);
	x_free(&slot);
}

static bool may_spawn(const struct slots *s)
{
	return s->queued > s->starting && s->threads < s->options.max_slots && s->spawn_retry_at == 0;
}

void slots_feed_unlock(struct slots *s)
{
	struct list wake, *l;
	int fresh = 0;

	list_init(&wake);
	while (!list_empty(&s->queue) && !list_empty(&s->idle)) {
		struct slot *slot = container_of(list_shift(&s->idle), struct slot, link);

		slot->idle = false;
		slot->task = dequeue(s, slot);
		list_append(&wake, &slot->link);
	}
	for (; may_spawn(s); fresh++) {
		s->threads++;
		s->starting++;
	}
	pthread_mutex_unlock(&s->lock);
	while ((l = list_shift(&wake)) != NULL)
		slot_wake(container_of(l, struct slot, link));
	while (fresh-- > 0)
		spawn(s);
}

/* ---- a slot's life */

static int64_t idle_deadline(const struct slots *s)
{
	int64_t now = clock_mono();

	return s->options.idle_ns > INT64_MAX - now ? INT64_MAX : now + s->options.idle_ns;
}

/* Lock held: the next task at once, or whether to wait for one. */
static struct task *task_at_hand(struct slots *s, struct slot *slot, bool *wait)
{
	bool worn = s->options.max_use > 0 && slot->uses >= s->options.max_use;
	struct task *task = worn ? NULL : dequeue(s, slot);

	*wait = !task && !worn && !s->quit;
	if (*wait) {
		slot->idle = true;
		list_prepend(&s->idle, &slot->link);
	}
	if (s->stopping)
		pthread_cond_broadcast(&s->changed);
	return task;
}

/* Nothing came in time; but somebody may be about to wake the slot. */
static struct task *leave_idle(struct slots *s, struct slot *slot)
{
	bool alone;

	pthread_mutex_lock(&s->lock);
	alone = slot->idle;
	if (alone) {
		list_remove(&slot->link);
		slot->idle = false;
	}
	pthread_mutex_unlock(&s->lock);
	if (alone)
		return NULL;
	slot_sleep(slot, INT64_MAX);
	return slot->task;
}

/* NULL: the slot shall end. `before` is the count that the caller leaves: starting or running. */
static struct task *next_task(struct slots *s, struct slot *slot, int *before)
{
	struct task *task;
	bool wait;

	pthread_mutex_lock(&s->lock);
	(*before)--;
	show_load(s);
	list_remove(&slot->busy);
	task = task_at_hand(s, slot, &wait);
	pthread_mutex_unlock(&s->lock);
	if (!wait)
		return task;
	if (!slot_sleep(slot, idle_deadline(s)))
		return leave_idle(s, slot);
	return slot->task;
}

static void slot_finish(struct slots *s, struct slot *slot)
{
	if (s->options.slot_end)
		s->options.slot_end(slot->cache, s->options.arg);
	pthread_mutex_lock(&s->lock);
	s->threads--;
	list_append(&s->finished, &slot->link);
	pthread_cond_broadcast(&s->changed);
	if (s->waiter_runs)
		slots_poke(s);
	/* A successor, when more tasks wait. */
	slots_feed_unlock(s);
}

static void *slot_main(void *arg)
{
	struct slot *slot = arg;
	struct slots *s = slot->owner;
	int *before = &s->starting;
	struct task *task;

	pthread_setname_np(pthread_self(), s->name);
	if (s->options.slot_start)
		slot->cache = s->options.slot_start(s->options.arg);
	while ((task = next_task(s, slot, before)) != NULL) {
		slot->task = NULL;
		slot->uses++;
		before = &s->running;
		task->run(task, slot, task->why);
	}
	slot_finish(s, slot);
	return NULL;
}

void slots_join_finished(struct slots *s)
{
	struct list *l;

	for (;;) {
		struct slot *slot;

		pthread_mutex_lock(&s->lock);
		l = list_shift(&s->finished);
		pthread_mutex_unlock(&s->lock);
		if (!l)
			return;
		slot = container_of(l, struct slot, link);
		pthread_join(slot->thread, NULL);
		x_free(&slot);
	}
}

/* ---- calls */

void slots_submit(struct slots *s, struct task *task)
{
	pthread_mutex_lock(&s->lock);
	slots_enqueue(s, task, TASK_START);
	slots_feed_unlock(s);
}

struct slots_load slots_load(struct slots *s)
{
	struct slots_load load;

	pthread_mutex_lock(&s->lock);
	load = (struct slots_load){
		.max = s->options.max_slots,
		.threads = s->threads,
		.running = s->running,
		.queued = s->queued,
		.parked = s->parked_count,
	};
	pthread_mutex_unlock(&s->lock);
	return load;
}

int slots_overdue(struct slots *s, int64_t before)
{
	int n = 0;

	pthread_mutex_lock(&s->lock);
	list_each(l, &s->busy)
	{
		if (container_of(l, struct slot, busy)->since >= before)
			break;
		n++;
	}
	pthread_mutex_unlock(&s->lock);
	return n;
}

/* Lock held. */
static bool busy(const struct slots *s)
{
	return s->running > 0 || s->queued > 0 || s->parked_count > 0 || s->starting > 0;
}

static bool has_threads(const struct slots *s)
{
	return s->threads > 0;
}

static bool wait_while(struct slots *s, bool (*condition)(const struct slots *s), int64_t deadline)
{
	struct timespec ts = {deadline / NS_PER_SEC, deadline % NS_PER_SEC};
	int error = 0;
	bool over;

	pthread_mutex_lock(&s->lock);
	while (condition(s) && error != ETIMEDOUT)
		error = pthread_cond_clockwait(&s->changed, &s->lock, CLOCK_MONOTONIC, &ts);
	over = !condition(s);
	pthread_mutex_unlock(&s->lock);
	return over;
}

static void wake_parked_for_shutdown(struct slots *s)
{
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	while (!list_empty(&s->parked)) {
		struct task *task = container_of(s->parked.next, struct task, link);

		slots_forget_parked(s, task);
		slots_enqueue(s, task, TASK_SHUTDOWN);
	}
	slots_feed_unlock(s);
}

static void end_idle_slots(struct slots *s)
{
	struct list wake, *l;

	list_init(&wake);
	pthread_mutex_lock(&s->lock);
	s->quit = true;
	while ((l = list_shift(&s->idle)) != NULL) {
		container_of(l, struct slot, link)->idle = false;
		list_append(&wake, l);
	}
	pthread_mutex_unlock(&s->lock);
	while ((l = list_shift(&wake)) != NULL)
		slot_wake(container_of(l, struct slot, link));
}

bool slots_stop(struct slots *s, int64_t deadline)
{
	wake_parked_for_shutdown(s);
	if (!wait_while(s, busy, deadline))
		return false;
	slots_waiter_stop(s);
	/* A watch may have submitted something meanwhile. */
	if (!wait_while(s, busy, deadline))
		return false;
	end_idle_slots(s);
	if (!wait_while(s, has_threads, INT64_MAX))
		return false;
	slots_join_finished(s);
	return true;
}
