#include "master/loop.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"

#define EVENTS_MAX 32

struct loop {
	int epoll;
	struct heap timers;
	struct epoll_event events[EVENTS_MAX];
	int count; /* of events of this step */
};

struct loop *loop_new(struct err *err)
{
	struct loop *l = x_alloc(sizeof *l);

	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0) {
		err_errno(err, "epoll_create1");
		x_free(&l);
	}
	return l;
}

void loop_free(struct loop **l)
{
	if (!*l)
		return;
	close((*l)->epoll);
	heap_free(&(*l)->timers);
	x_free(l);
}

void loop_watch(struct loop *l, struct loop_watch *w, int fd, void (*ready)(void *arg), void *arg)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = w};

	*w = (struct loop_watch){ready, arg, fd};
	epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e);
}

/* An event of this step that was not yet seen to is forgotten: its owner may be gone by then. */
void loop_unwatch(struct loop *l, struct loop_watch *w)
{
	if (!w->ready || w->fd < 0)
		return;
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	w->fd = -1;
	for (int i = 0; i < l->count; i++) {
		if (l->events[i].data.ptr == w)
			l->events[i].data.ptr = NULL;
	}
}

void loop_timer(struct loop *l, struct loop_timer *t, int64_t delay_ns, void (*fire)(void *arg), void *arg)
{
	t->fire = fire;
	t->arg = arg;
	heap_set(&l->timers, &t->entry, clock_mono() + delay_ns);
}

void loop_cancel(struct loop *l, struct loop_timer *t)
{
	if (t->entry.place)
		heap_remove(&l->timers, &t->entry);
}

static int wait_ms(const struct loop *l)
{
	struct heap_entry *first = heap_first(&l->timers);

	return first ? clock_left_ms(first->key) : -1;
}

static void fire_timers(struct loop *l)
{
	int64_t now = clock_mono();
	struct heap_entry *first;

	while ((first = heap_first(&l->timers)) && first->key <= now) {
		struct loop_timer *t = container_of(first, struct loop_timer, entry);

		heap_remove(&l->timers, first);
		t->fire(t->arg);
	}
}

void loop_step(struct loop *l)
{
	int n = epoll_wait(l->epoll, l->events, EVENTS_MAX, wait_ms(l));

	l->count = n > 0 ? n : 0;
	for (int i = 0; i < l->count; i++) {
		struct loop_watch *w = l->events[i].data.ptr;

		if (w)
			w->ready(w->arg);
	}
	l->count = 0;
	fire_timers(l);
}
