/* Taking connections, on the waiter thread. */
#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "service/service_private.h"

/* Descriptors or memory ran out: the connection waits in the kernel until the next tick, and we do not spin.
 */
static void accept_failed(struct service *s, int error)
{
	if (error == EAGAIN)
		return;
	log_warning("accept connection: %s", strerror(error));
	service_pause(s, PAUSE_TROUBLE);
}

/* Whether a connection is better left to another worker. */
static bool shall_leave_to_others(struct service *s)
{
	struct slots_load load = slots_load(s->slots);

	return s->worker && s->ops->accepted && load.running + load.queued >= load.max &&
	       shared_others_free(s->shared, s->worker);
}

/*
 * The kernel wakes whichever worker it likes. One without a free slot leaves the listening sockets to those
 * that have one; when none has, all listen, and connections queue for a slot.
 */
static bool follow_load(struct service *s)
{
	bool leave = shall_leave_to_others(s);

	if (leave)
		service_pause(s, PAUSE_FULL);
	else
		service_resume(s, PAUSE_FULL);
	return !leave;
}

/* The slots may have filled with sessions that were parked since we last looked. Whom we leave the connection
 * to sees it at its next tick at the latest. */
static void ready(int fd, void *arg)
{
	struct service *s = arg;
	struct net_addr peer;
	int client;

	if (!follow_load(s))
		return;
	client = net_accept(fd, &peer);
	if (client < 0) {
		accept_failed(s, errno);
		return;
	}
	s->ops->accepted(s, client, &peer);
	if (atomic_load(&s->sessions) >= s->session_limit)
		service_pause(s, PAUSE_TROUBLE);
	follow_load(s);
}

static void unwatch_all(struct service *s)
{
	for (int i = 0; i < s->args.listeners; i++)
		slots_unwatch(s->slots, service_listener(s, (size_t)i));
	s->listening = false;
}

/* All or none: a listener that is watched already could not be watched again. */
static bool watch_all(struct service *s, struct err *err)
{
	for (int i = 0; i < s->args.listeners; i++) {
		if (!slots_watch(s->slots, service_listener(s, (size_t)i), true, ready, s, err)) {
			unwatch_all(s);
			return false;
		}
	}
	return s->listening = true;
}

/* With the lock held. */
static void follow_pauses(struct service *s)
{
	bool wanted = s->pauses == 0 && s->args.listeners > 0 && !service_retiring(s);
	struct err err = {""};

	if (s->worker)
		atomic_store(&s->worker->closed, (s->pauses & ~PAUSE_FULL) != 0);
	if (wanted && !s->listening && !watch_all(s, &err))
		log_warning("listening again: %s", err.text);
	else if (!wanted && s->listening)
		unwatch_all(s);
}

void service_pause(struct service *s, enum service_pause why)
{
	pthread_mutex_lock(&s->listen_lock);
	s->pauses |= (int)why;
	follow_pauses(s);
	pthread_mutex_unlock(&s->listen_lock);
}

void service_resume(struct service *s, enum service_pause why)
{
	pthread_mutex_lock(&s->listen_lock);
	s->pauses &= ~(int)why;
	follow_pauses(s);
	pthread_mutex_unlock(&s->listen_lock);
}

void service_slot_free(struct service *s)
{
	pthread_mutex_lock(&s->listen_lock);
	if (s->pauses & PAUSE_FULL) {
		s->pauses &= ~PAUSE_FULL;
		follow_pauses(s);
	}
	pthread_mutex_unlock(&s->listen_lock);
}

bool service_listen(struct service *s, struct err *err)
{
	bool ok;

	pthread_mutex_lock(&s->listen_lock);
	ok = watch_all(s, err);
	pthread_mutex_unlock(&s->listen_lock);
	return ok;
}

/* Not with the lock held: taking a watch away waits for its call in progress, which may want the lock. Nobody
 * listens again once we retire. */
void service_close_listeners(struct service *s)
{
	pthread_mutex_lock(&s->listen_lock);
	s->listening = false;
	pthread_mutex_unlock(&s->listen_lock);
	for (int i = 0; i < s->args.listeners; i++) {
		slots_unwatch(s->slots, service_listener(s, (size_t)i));
		close(service_listener(s, (size_t)i));
	}
	pthread_mutex_lock(&s->listen_lock);
	s->args.listeners = 0;
	pthread_mutex_unlock(&s->listen_lock);
}

/* Four times a second. */
void service_tick(void *service)
{
	struct service *s = service;

	atomic_store(&s->heartbeat, clock_mono());
	if (s->worker)
		atomic_store(&s->worker->parked, slots_load(s->slots).parked);
	follow_load(s);
	if (++s->ticks % 4 != 0)
		return;
	if (atomic_load(&s->sessions) < s->session_limit)
		service_resume(s, PAUSE_TROUBLE);
	if (s->ops->tick)
		s->ops->tick(s);
}

void service_session_keeps(struct service *s, int descriptors)
{
	s->session_limit /= descriptors;
}

bool service_stressed(const struct service *s)
{
	if (!s->stress_config || !s->shared)
		return false;
	if (atomic_load(&s->sessions) >= s->session_limit / 10 * 9)
		return true;
	return shared_check_stress(s->shared);
}
