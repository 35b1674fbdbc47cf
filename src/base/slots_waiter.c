/* The waiter: one epoll thread with the parked tasks, their deadlines, the watched descriptors and the tick.
 */
#include "base/mem.h"
#include "base/slots.h"
#include "base/slots_private.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 256

/* What an epoll event says: WATCH | id, POKE, or generation << 32 | fd. */
#define WATCH (UINT64_C(1) << 63)
#define POKE UINT64_MAX
#define GENERATION_MASK UINT32_C(0x7fffffff)

void slots_poke(struct slots *s)
{
	uint64_t one = 1;

	if (write(s->poke_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: the waiter will wake up anyway */
}

/* ---- parking */

/* Lock held. */
void slots_forget_parked(struct slots *s, struct task *task)
{
	task->parked = false;
	list_remove(&task->link);
	s->parked_count--;
	heap_remove(&s->timers, &task->timer);
	if (task->fd >= 0)
		s->by_fd[task->fd].task = NULL;
}

static uint64_t parking_take(struct slots *s, struct task *task)
{
	size_t at = (size_t)task->fd, count = s->by_fd_count ? s->by_fd_count : 64;
	struct parking *p;

	while (count <= at)
		count *= 2;
	if (count > s->by_fd_count) {
		s->by_fd = x_realloc(s->by_fd, count * sizeof(*s->by_fd));
		memset(s->by_fd + s->by_fd_count, 0, (count - s->by_fd_count) * sizeof(*s->by_fd));
		s->by_fd_count = count;
	}
	p = &s->by_fd[at];
	p->task = task;
	p->generation = (p->generation + 1) & GENERATION_MASK;
	return (uint64_t)p->generation << 32 | (uint32_t)task->fd;
}

/*
 * A descriptor stays in the epoll set, disarmed, between its parkings, and leaves it when it is closed; so
 * the same number may or may not be known already. The first guess is nearly always right.
 */
static bool arm(struct slots *s, int fd, uint64_t data, bool known)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.u64 = data};

	if (epoll_ctl(s->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev) == 0)
		return true;
	if (errno != (known ? ENOENT : EEXIST))
		return false;
	return epoll_ctl(s->epoll, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &ev) == 0;
}

/* Lock held. What cannot be waited for wakes up at once: its next read tells why. */
static bool park(struct slots *s, struct task *task, int fd, int64_t deadline)
{
	bool known = task->fd == fd;

	task->fd = fd;
	task->parked = true;
	list_append(&s->parked, &task->link);
	s->parked_count++;
	if (deadline != INT64_MAX)
		heap_set(&s->timers, &task->timer, deadline);
	return fd < 0 || arm(s, fd, parking_take(s, task), known);
}

/* The descriptor is armed with the lock held: otherwise the task could wake, end, and its descriptor's number
 * belong to another by then. */
void slots_park(struct slots *s, struct task *task, int fd, int64_t deadline)
{
	bool poke;

	pthread_mutex_lock(&s->lock);
	if (s->stopping) {
		slots_enqueue(s, task, TASK_SHUTDOWN);
		slots_feed_unlock(s);
		return;
	}
	if (!park(s, task, fd, deadline)) {
		slots_forget_parked(s, task);
		slots_enqueue(s, task, TASK_READY);
		slots_feed_unlock(s);
		return;
	}
	poke = deadline < s->sleep_until;
	pthread_mutex_unlock(&s->lock);
	if (poke)
		slots_poke(s);
}

bool slots_unpark(struct slots *s, struct task *task)
{
	bool was;

	pthread_mutex_lock(&s->lock);
	was = task->parked;
	if (was)
		slots_forget_parked(s, task);
	/* Its owner uses the descriptor now: what arrives must not wake the waiter. */
	if (was && task->fd >= 0) {
		epoll_ctl(s->epoll, EPOLL_CTL_DEL, task->fd, NULL);
		task->fd = -1;
	}
	pthread_mutex_unlock(&s->lock);
	return was;
}

/* Lock held. */
static void wake_parked(struct slots *s, struct task *task, enum task_wake why)
{
	slots_forget_parked(s, task);
	slots_enqueue(s, task, why);
}

static void wake_by_event(struct slots *s, uint64_t data)
{
	size_t fd = (uint32_t)data;
	const struct parking *p = fd < s->by_fd_count ? &s->by_fd[fd] : NULL;

	if (p && p->task && p->generation == data >> 32)
		wake_parked(s, p->task, TASK_READY);
}

static void wake_by_time(struct slots *s, int64_t now)
{
	struct heap_entry *e;

	while ((e = heap_first(&s->timers)) != NULL && e->key <= now)
		wake_parked(s, container_of(e, struct task, timer), TASK_TIMEOUT);
}

/* ---- watches */

static struct watch *watch_by_fd(struct slots *s, int fd)
{
	list_each(l, &s->watches)
	{
		struct watch *w = container_of(l, struct watch, link);

		if (w->fd == fd)
			return w;
	}
	return NULL;
}

static struct watch *watch_by_id(struct slots *s, uint32_t id)
{
	list_each(l, &s->watches)
	{
		struct watch *w = container_of(l, struct watch, link);

		if (w->id == id)
			return w;
	}
	return NULL;
}

static bool watch_arm(struct slots *s, struct watch *w)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = WATCH | w->id};

	if (w->exclusive)
		ev.events |= EPOLLEXCLUSIVE;
	w->armed = epoll_ctl(s->epoll, EPOLL_CTL_ADD, w->fd, &ev) == 0;
	return w->armed;
}

static void watch_disarm(struct slots *s, struct watch *w)
{
	if (w->armed)
		epoll_ctl(s->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	w->armed = false;
}

bool slots_watch(
	struct slots *s, int fd, bool exclusive, void (*ready)(int fd, void *arg), void *arg, struct err *err)
{
	struct watch *w = x_alloc(sizeof(*w));
	bool ok;

	*w = (struct watch){.fd = fd, .exclusive = exclusive, .ready = ready, .arg = arg};
	pthread_mutex_lock(&s->lock);
	w->id = ++s->last_watch_id & GENERATION_MASK;
	list_append(&s->watches, &w->link);
	ok = watch_arm(s, w) || err_errno(err, "watch descriptor %d", fd);
	if (!ok)
		list_remove(&w->link);
	pthread_mutex_unlock(&s->lock);
	if (!ok)
		x_free(&w);
	return ok;
}

void slots_unwatch(struct slots *s, int fd)
{
	struct watch *w;

	pthread_mutex_lock(&s->lock);
	w = watch_by_fd(s, fd);
	if (w) {
		watch_disarm(s, w);
		list_remove(&w->link);
	}
	while (w && s->calling == w && !pthread_equal(pthread_self(), s->waiter))
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
	x_free(&w);
}

static void watch_call(struct slots *s, uint32_t id)
{
	struct watch *w;
	struct watch copy;

	pthread_mutex_lock(&s->lock);
	w = watch_by_id(s, id);
	if (!w || !w->armed) {
		pthread_mutex_unlock(&s->lock);
		return;
	}
	copy = *w;
	s->calling = w;
	pthread_mutex_unlock(&s->lock);
	copy.ready(copy.fd, copy.arg);
	pthread_mutex_lock(&s->lock);
	s->calling = NULL;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

/* Lock held. A watch that cannot be armed again (no memory) is tried again later. */
static void watches_rearm(struct slots *s, int64_t now)
{
	list_each(l, &s->watches)
	{
		struct watch *w = container_of(l, struct watch, link);

		if (!w->armed && w->rearm_at <= now && !watch_arm(s, w))
			w->rearm_at = now + NS_PER_SEC;
	}
}

/* Another process may have been woken for an exclusive watch and have left the event to us; the wake-up is
 * gone then. Arming looks again. */
static void watches_look_again(struct slots *s)
{
	pthread_mutex_lock(&s->lock);
	list_each(l, &s->watches)
	{
		struct watch *w = container_of(l, struct watch, link);

		if (w->exclusive && w->armed) {
			watch_disarm(s, w);
			watch_arm(s, w);
		}
	}
	pthread_mutex_unlock(&s->lock);
}

/* ---- the thread */

static void earlier(int64_t *until, int64_t when)
{
	if (when < *until)
		*until = when;
}

/* Lock held. */
static int64_t next_wake(struct slots *s)
{
	const struct heap_entry *first = heap_first(&s->timers);
	int64_t until = first ? first->key : INT64_MAX;

	if (s->tick)
		earlier(&until, s->next_tick);
	if (s->spawn_retry_at)
		earlier(&until, s->spawn_retry_at);
	list_each(l, &s->watches)
	{
		const struct watch *w = container_of(l, struct watch, link);

		if (!w->armed)
			earlier(&until, w->rearm_at);
	}
	return until;
}

/* false: quit. */
static bool sleep_till_event(struct slots *s, struct epoll_event *events, int *count)
{
	int64_t until;

	pthread_mutex_lock(&s->lock);
	until = s->sleep_until = next_wake(s);
	if (s->quit) {
		pthread_mutex_unlock(&s->lock);
		return false;
	}
	pthread_mutex_unlock(&s->lock);
	*count = epoll_wait(s->epoll, events, EVENTS_AT_ONCE, clock_left_ms(until));
	if (*count < 0)
		*count = 0;
	pthread_mutex_lock(&s->lock);
	s->sleep_until = INT64_MIN;
	pthread_mutex_unlock(&s->lock);
	return true;
}

static void wake_tasks(struct slots *s, const struct epoll_event *events, int count)
{
	int64_t now = clock_mono();

	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < count; i++) {
		if (!(events[i].data.u64 & WATCH))
			wake_by_event(s, events[i].data.u64);
	}
	wake_by_time(s, now);
	watches_rearm(s, now);
	if (s->spawn_retry_at <= now)
		s->spawn_retry_at = 0;
	slots_feed_unlock(s);
}

static void call_watches(struct slots *s, const struct epoll_event *events, int count)
{
	uint64_t pokes;

	for (int i = 0; i < count; i++) {
		if (events[i].data.u64 == POKE) {
			if (read(s->poke_fd, &pokes, sizeof(pokes)) < 0)
				continue;
		} else if (events[i].data.u64 & WATCH) {
			watch_call(s, (uint32_t)events[i].data.u64);
		}
	}
}

static void call_tick(struct slots *s)
{
	void (*tick)(void *arg) = NULL;
	void *arg;
	int64_t now = clock_mono();

	pthread_mutex_lock(&s->lock);
	if (s->tick && s->next_tick <= now) {
		tick = s->tick;
		s->next_tick = now + s->tick_ns;
	}
	arg = s->tick_arg;
	pthread_mutex_unlock(&s->lock);
	if (!tick)
		return;
	tick(arg);
	watches_look_again(s);
}

static void *waiter_main(void *arg)
{
	struct slots *s = arg;
	struct epoll_event events[EVENTS_AT_ONCE];
	int count;

	pthread_setname_np(pthread_self(), "waiter");
	while (sleep_till_event(s, events, &count)) {
		wake_tasks(s, events, count);
		call_watches(s, events, count);
		call_tick(s);
		slots_join_finished(s);
	}
	return NULL;
}

void slots_tick(struct slots *s, int ms, void (*tick)(void *arg), void *arg)
{
	pthread_mutex_lock(&s->lock);
	s->tick = tick;
	s->tick_arg = arg;
	s->tick_ns = ms * NS_PER_MS;
	s->next_tick = clock_mono() + s->tick_ns;
	pthread_mutex_unlock(&s->lock);
	slots_poke(s);
}

bool slots_waiter_start(struct slots *s, struct err *err)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = POKE};

	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->poke_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->epoll < 0 || s->poke_fd < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->poke_fd, &ev) < 0)
		return err_errno(err, "epoll");
	pthread_mutex_lock(&s->lock);
	errno = pthread_create(&s->waiter, &s->attributes, waiter_main, s);
	s->waiter_runs = errno == 0;
	pthread_mutex_unlock(&s->lock);
	return s->waiter_runs || err_errno(err, "waiter thread");
}

void slots_waiter_stop(struct slots *s)
{
	bool runs;

	pthread_mutex_lock(&s->lock);
	runs = s->waiter_runs;
	s->waiter_runs = false;
	s->quit = true;
	pthread_mutex_unlock(&s->lock);
	if (!runs)
		return;
	slots_poke(s);
	pthread_join(s->waiter, NULL);
}
