/*
 * pickup(8): takes what postdrop put into maildrop over into the queue, by the same way as mail from the
 * network. It looks when it starts, when somebody connects to its socket, and at the intervals of master.cf.
 */
#include "pickup/pickup.h"
#include "base/log.h"
#include "base/sys.h"
#include "bounce/bounce.h"
#include "cleanup/cleanup.h"
#include "mail/event.h"
#include "mail/received.h"
#include "service/service.h"
#include <pthread.h>
#include <unistd.h>

struct pickup {
	struct service *service;
	struct pickup_env env;
	struct resolver *resolver;
	struct queue_notifier *notifier;
	struct task task;
	pthread_mutex_t lock; /* guards the two below */
	bool running;	      /* the task is queued or runs */
	bool again;	      /* somebody called meanwhile */
};

static bool finished(struct pickup *p)
{
	bool end;

	pthread_mutex_lock(&p->lock);
	end = !p->again || service_retiring(p->service);
	p->running = !end;
	p->again = false;
	pthread_mutex_unlock(&p->lock);
	return end;
}

static void run(struct task *task, struct slot *slot, enum task_wake why)
{
	struct pickup *p = container_of(task, struct pickup, task);

	do {
		pickup_all(&p->env);
	} while (!finished(p));
	service_session_end(p->service);
}

static void look(struct pickup *p)
{
	bool start;

	pthread_mutex_lock(&p->lock);
	start = !p->running;
	p->running = true;
	p->again = !start;
	pthread_mutex_unlock(&p->lock);
	if (!start)
		return;
	service_session_begin(p->service);
	slots_submit(service_slots(p->service), &p->task);
}

/* What a caller writes does not matter. */
static void accepted(struct service *s, int fd, const struct net_addr *peer)
{
	sys_close(&fd);
	look(service_data(s));
}

static bool start(struct service *s, struct err *err)
{
	struct pickup *p = x_alloc(sizeof(*p));
	const struct config *cfg = service_config(s);

	p->service = s;
	p->task.run = run;
	pthread_mutex_init(&p->lock, NULL);
	service_set_data(s, p);
	p->resolver = resolver_new(cfg, err);
	if (!p->resolver)
		return false;
	p->env.reports = bounce_services_new(cfg, log_warn, NULL, err);
	if (!p->env.reports)
		return false;
	p->notifier = queue_notifier_new(cfg->queue_service_name);
	p->env.cfg = cfg;
	p->env.service = s;
	p->env.spool = service_spool(s);
	p->env.cleanup = cleanup_env_new(cfg, p->env.spool, p->resolver, p->notifier, err);
	if (!p->env.cleanup)
		return false;
	cleanup_env_warnings(p->env.cleanup, log_warn, NULL);
	look(p);
	return true;
}

static void end(struct service *s)
{
	struct pickup *p = service_data(s);

	cleanup_env_free(&p->env.cleanup);
	bounce_services_free(&p->env.reports);
	queue_notifier_free(&p->notifier);
	resolver_free(&p->resolver);
	pthread_mutex_destroy(&p->lock);
	x_free(&p);
}

int main(int argc, char **argv)
{
	static const struct service_ops ops = {
		.program = "pickup",
		.single_slot = true,
		.exclusive = true,
		.start = start,
		.accepted = accepted,
		.end = end,
	};

	return service_main(argc, argv, &ops);
}
