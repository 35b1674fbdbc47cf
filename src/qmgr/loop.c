#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sys.h"
#include "qmgr/qmgr.h"

#define EVENTS_AT_ONCE 128
#define PAUSE_NS NS_PER_MS
#define WINDOW_NS (20 * NS_PER_MS)
#define BUSY_EVENTS 20 /* in a window: a thousand a second */
#define TICK_NS NS_PER_SEC
#define REST_SECONDS 10	   /* retiring: for the workers */
#define LEAVE_SECONDS 7200 /* retiring: for the agents, while the successor is at work */
#define STOP_SECONDS                                                                                         \
	(SERVICE_STOP_GRACE + 1) /* stopping: what agents have not answered by then is tried again later */
#define HAND_OVER_NS (NS_PER_SEC / 10)

bool loop_watch(struct qmgr *q, struct watch *w, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = w};

	return epoll_ctl(q->epoll_fd, EPOLL_CTL_ADD, w->fd, &event) == 0;
}

void loop_rewatch(struct qmgr *q, struct watch *w, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = w};

	if (epoll_ctl(q->epoll_fd, EPOLL_CTL_MOD, w->fd, &event) < 0)
		log_warning("epoll_ctl: %s", strerror(errno));
}

void loop_unwatch(struct qmgr *q, struct watch *w)
{
	epoll_ctl(q->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	sys_close(&w->fd);
}

static void work_ready(struct watch *watch, uint32_t events)
{
	struct qmgr *q = container_of(watch, struct qmgr, work_watch);

	workers_collect(q->workers);
}

/* Once: the descriptor stays readable. */
static void wake_ready(struct watch *watch, uint32_t events)
{
	struct qmgr *q = container_of(watch, struct qmgr, wake_watch);

	epoll_ctl(q->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
}

bool loop_start(struct qmgr *q, struct err *err)
{
	q->work_watch = (struct watch){workers_fd(q->workers), work_ready};
	q->wake_watch = (struct watch){service_wake_fd(q->service), wake_ready};
	q->listen_watch = (struct watch){service_listener(q->service, 0), control_accept};
	q->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (q->epoll_fd < 0 || !loop_watch(q, &q->work_watch, EPOLLIN) ||
		!loop_watch(q, &q->wake_watch, EPOLLIN))
		return err_errno(err, "epoll");
	if (q->listen_watch.fd >= 0 && !loop_watch(q, &q->listen_watch, EPOLLIN))
		return err_errno(err, "watch public/%s", service_name(q->service));
	return true;
}

static void give_out(struct qmgr *q)
{
	struct transport *t;

	while ((t = sched_next_dirty(&q->sched)) != NULL)
		link_dispatch(q, t);
}

static void tick(struct qmgr *q, int64_t now)
{
	if (now < q->next_tick)
		return;
	q->next_tick = now + TICK_NS;
	link_tick(q, now);
	handover_tick(q);
	clog_tick(q, now);
	probe_tick(q, now);
	if (now >= q->next_scan && q->scans == 0) {
		q->next_scan = now + q->cfg->queue_run_delay * NS_PER_SEC;
		intake_scan(q);
	}
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* When the next thing happens by itself, in milliseconds for epoll_wait(). */
static int wait_ms(struct qmgr *q, int64_t timers)
{
	int64_t due = known_next_due(&q->known);
	int64_t deadline = earlier(q->next_tick, timers);

	if (due != INT64_MAX && !q->resting && intake_room(q))
		deadline = earlier(deadline, clock_mono() + (due - clock_real()) * 1000);
	/* A worker may be at a slow job while others could be woken for the rest. */
	if (q->pacing && workers_pending(q->workers) > 0)
		deadline = earlier(deadline, clock_mono() + 2 * PAUSE_NS);
	return clock_left_ms(deadline);
}

/* A loop that hangs is ended by SIGALRM and started anew by master. */
static void watchdog(struct qmgr *q)
{
	int64_t now = clock_mono();

	if (now < q->next_alarm)
		return;
	alarm((unsigned)q->cfg->qmgr_daemon_timeout);
	q->next_alarm = now + NS_PER_SEC;
}

/*
 * Under load waking up costs more than the work: each message wakes the loop three times and a worker twice.
 * When events come fast, a pause lets them pile up, so that a turn, and each hand-over, serves several. A
 * quiet queue manager never pauses.
 */
static void pace(struct qmgr *q, int events)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	int64_t now = clock_mono();

	q->window_events += events;
	if (now - q->window_start >= WINDOW_NS) {
		q->pacing = q->window_events >= BUSY_EVENTS;
		q->window_start = now;
		q->window_events = 0;
	}
	if (q->pacing && !q->resting)
		nanosleep(&pause, NULL);
}

/* One turn: what came in is worked on, what became possible is given out, what was collected is sent. */
static void turn(struct qmgr *q)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	int64_t timers = sched_timers(&q->sched, clock_mono());
	int n = epoll_wait(q->epoll_fd, events, EVENTS_AT_ONCE, wait_ms(q, timers));

	for (int i = 0; i < n; i++) {
		struct watch *w = events[i].data.ptr;

		w->ready(w, events[i].events);
	}
	sched_timers(&q->sched, clock_mono());
	watchdog(q);
	if (!q->resting) {
		intake_feed(q);
		give_out(q);
		tick(q, clock_mono());
	}
	link_flush_all(q);
	workers_flush(q->workers, q->pacing && !q->resting);
	link_reap(q);
	control_reap(q);
	pace(q, n);
}

/* Agents that end meanwhile give back what they had. */
static void hand_over(struct qmgr *q, int64_t *next)
{
	if (clock_mono() < *next)
		return;
	message_hand_over(q);
	*next = clock_mono() + HAND_OVER_NS;
}

static int64_t end_of_rest(struct qmgr *q, int64_t end)
{
	if (!service_stopping(q->service))
		return end;
	if (q->stop_by == 0)
		q->stop_by = deadline_in(STOP_SECONDS);
	return earlier(end, q->stop_by);
}

/* Retiring: until done() or for so many seconds. */
static void rest(struct qmgr *q, bool handing_over, bool (*done)(const struct qmgr *q), int seconds)
{
	int64_t end = end_of_rest(q, deadline_in(seconds)), next = 0;

	q->resting = true;
	while (!done(q) && clock_mono() < end) {
		q->next_tick = clock_mono() + NS_PER_SEC / 10;
		turn(q);
		if (handing_over)
			hand_over(q, &next);
		end = end_of_rest(q, end);
	}
}

static bool workers_at_rest(const struct qmgr *q)
{
	return workers_pending(q->workers) == 0;
}

static bool all_at_rest(const struct qmgr *q)
{
	bool listings = !service_stopping(q->service) && atomic_load(&q->listings) > 0;

	return workers_pending(q->workers) == 0 && link_in_flight(q) == 0 && !listings;
}

static void retire(struct qmgr *q)
{
	struct err err = {""};

	if (q->listen_watch.fd >= 0)
		epoll_ctl(q->epoll_fd, EPOLL_CTL_DEL, q->listen_watch.fd, NULL);
	q->listen_watch.fd = -1;
	control_hear_out(q); /* who tells of new mail, or asks, connects to the successor now */
	rest(q, false, workers_at_rest, REST_SECONDS);
	message_hand_over(q);
	handover_flushes(q);
	if (!all_at_rest(q) && !service_stopping(q->service) && !handover_leave(q, &err))
		log_warning("cannot hand the queue over: %s", err.text);
	rest(q, true, all_at_rest, LEAVE_SECONDS);
}

void loop_run(struct qmgr *q)
{
	while (!service_retiring(q->service))
		turn(q);
	retire(q);
}
