/* qmgr(8): the queue manager. */
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "qmgr/qmgr.h"

#define WORKER_THREADS 8 /* they wait for disks and tables; the work itself is small */

static struct qmgr *qmgr_new(struct service *s)
{
	struct qmgr *q = x_alloc(sizeof(*q));

	q->service = s;
	q->cfg = service_config(s);
	q->spool = service_spool(s);
	q->epoll_fd = q->handover_fd = -1;
	known_init(&q->known);
	list_init(&q->active);
	list_init(&q->links);
	list_init(&q->dead_links);
	list_init(&q->controls);
	list_init(&q->dead_controls);
	sched_init(&q->sched, settings_transport, q);
	service_set_data(s, q);
	return q;
}

static bool before_jail_probes(struct qmgr *q, struct err *err)
{
	q->probe_resolver = resolver_new_for_probes(q->cfg, err);
	q->verify = q->probe_resolver ? verify_open(q->cfg, spool_since(q->spool), err) : NULL;
	return q->verify != NULL;
}

/* The tables' files and the templates may be out of the jail's reach. */
static bool before_jail(struct service *s, struct err *err)
{
	struct qmgr *q = qmgr_new(s);

	q->master_cf = master_cf_load(q->cfg, err);
	if (q->master_cf == NULL)
		return false;
	q->reports = bounce_services_new(q->cfg, log_warn, NULL, err);
	q->resolver = q->reports ? resolver_new(q->cfg, err) : NULL;
	return q->resolver != NULL && before_jail_probes(q, err);
}

static bool start_reports(struct qmgr *q, struct err *err)
{
	q->notifier = queue_notifier_new(service_name(q->service));
	q->cleanup = cleanup_env_new(q->cfg, q->spool, q->resolver, q->notifier, err);
	q->bounce = (struct bounce_env){q->cfg, q->cleanup, q->spool, NULL, q->reports};
	return q->cleanup != NULL;
}

static bool start(struct service *s, struct err *err)
{
	struct qmgr *q = service_data(s);

	if (!start_reports(q, err))
		return false;
	q->workers = workers_new(WORKER_THREADS, q, err);
	return q->workers != NULL && loop_start(q, err);
}

static void qmgr_free(struct qmgr *q)
{
	workers_free(&q->workers);
	link_close_all(q);
	control_close_all(q);
	list_each(node, &q->active) pool_free(&container_of(node, struct message, link)->pool);
	sched_free(&q->sched);
	known_free(&q->known);
	cleanup_env_free(&q->cleanup);
	queue_notifier_free(&q->notifier);
	verify_close(&q->verify);
	resolver_free(&q->probe_resolver);
	resolver_free(&q->resolver);
	bounce_services_free(&q->reports);
	master_cf_free(&q->master_cf);
	sys_close(&q->epoll_fd);
	sys_close(&q->handover_fd);
	x_free(&q);
}

static int run(struct service *s)
{
	struct qmgr *q = service_data(s);

	handover_meet(q);
	intake_recover(q);
	loop_run(q);
	if (atomic_load(&q->listings) > 0)
		_exit(0); /* a listing still reads; the files are whole at any moment */
	qmgr_free(q);
	service_set_data(s, NULL);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct service_ops ops = {
		.program = "qmgr",
		.no_slots = true,
		.exclusive = true,
		.before_jail = before_jail,
		.start = start,
		.run = run,
	};

	return service_main(argc, argv, &ops);
}
