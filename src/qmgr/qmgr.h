/* The queue manager: what its parts share. One per process; owned by the loop's thread, except where a
 * comment says that workers read it. */
#ifndef QMGR_QMGR_H
#define QMGR_QMGR_H

#include "bounce/bounce_services.h"
#include "config/config.h"
#include "config/master_cf.h"
#include "qmgr/known.h"
#include "qmgr/message.h"
#include "qmgr/scheduler.h"
#include "qmgr/work.h"
#include "rewrite/resolve.h"
#include "service/service.h"
#include "spool/spool.h"
#include "verify/verify.h"
#include <stdatomic.h>
#include <sys/epoll.h>

/* A descriptor in the loop. */
struct watch {
	int fd;
	void (*ready)(struct watch *watch, uint32_t events);
};

struct qmgr {
	/* constant after the start; read by workers, thread-safe inside */
	const struct config *cfg;
	struct spool *spool;
	struct resolver *resolver, *probe_resolver;
	struct verify *verify;
	struct cleanup_env *cleanup;
	struct queue_notifier *notifier;
	struct bounce_services *reports;
	struct bounce_env bounce;

	struct service *service;
	struct master_cf *master_cf;
	struct workers *workers;
	struct sched sched;
	struct known known;
	struct list active;  /* struct message */
	size_t active_count; /* being loaded ones included */
	size_t active_recipients;
	size_t loading;
	atomic_int probes;  /* active ones; workers add */
	int64_t next_sweep; /* of the address verification cache */
	bool sweeping;

	int epoll_fd;
	struct watch work_watch, wake_watch, listen_watch;
	struct list links;	/* struct link, all transports */
	struct list dead_links; /* to be freed at the end of the turn */
	struct list controls;	/* connections to public/qmgr */
	struct list dead_controls;
	int control_count;
	int64_t next_tick; /* nanoseconds */
	int64_t next_scan;
	bool resting;	      /* retiring: nothing new is begun */
	int64_t stop_by;      /* nanoseconds; stopping: when we end at the latest, 0: not stopping */
	int64_t window_start; /* pacing: see loop.c */
	int window_events;
	bool pacing;
	int64_t next_alarm; /* when the watchdog is set again */
	int64_t next_clog_warning;
	size_t scans;	     /* scan jobs under way */
	bool flushing;	     /* a flush came during them */
	size_t leaving;	     /* predecessors that still wait for their agents */
	int handover_fd;     /* retiring: our list of messages, locked; -1: none */
	atomic_int listings; /* threads of listing.c */
};

/* loop.c */
bool loop_start(struct qmgr *q, struct err *err);
void loop_run(struct qmgr *q); /* until the service retires and everything is at rest */
bool loop_watch(struct qmgr *q, struct watch *w, uint32_t events);
void loop_rewatch(struct qmgr *q, struct watch *w, uint32_t events);
void loop_unwatch(struct qmgr *q, struct watch *w);

/* settings.c: what the configuration says of a transport; a sched_settings_fn with the struct qmgr */
void settings_transport(void *qmgr, const char *transport, struct transport_settings *out);

/* intake.c */
void intake_scan(struct qmgr *q); /* incoming and deferred, in workers */
void intake_recover(struct qmgr *q);
void intake_new(struct qmgr *q, const struct queue_id *id);
bool intake_room(const struct qmgr *q); /* more may be read now */
void intake_feed(struct qmgr *q);	/* fills the active queue */
void intake_flush(struct qmgr *q);
void intake_flush_id(struct qmgr *q, const struct queue_id *id);
void intake_flush_site(struct qmgr *q, const char *site);
void intake_forget(struct qmgr *q, const struct queue_id *id);
void intake_returned(struct qmgr *q); /* what other queue managers had in hand, and list no more */

/* link.c: agents */
void link_dispatch(struct qmgr *q, struct transport *t); /* gives out what can be given out */
void link_flush_all(struct qmgr *q);			 /* sends what was collected in this turn */
void link_tick(struct qmgr *q, int64_t now);
size_t link_in_flight(const struct qmgr *q);
void link_close_all(struct qmgr *q);
void link_reap(struct qmgr *q);

/* clog.c */
void clog_tick(struct qmgr *q, int64_t now);

/* probe.c: messages that find out about an address. */
void probe_tick(struct qmgr *q, int64_t now);
/* On a worker: whether one more may be active; counts it. */
bool probe_allowed(struct message *m);
void probe_freed(struct qmgr *q, const struct message *m);
/* On a worker: tells what was found out. */
void probe_tell(const struct message *m);

/* handover.c: what a retiring queue manager still has in hand */
bool handover_leave(struct qmgr *q, struct err *err);
void handover_release(const struct qmgr *q, const struct message *m); /* retiring: it is the successor's */
void handover_flushes(struct qmgr *q); /* retiring: the successor tries what was to be tried at once */
void handover_flush_site(struct qmgr *q, const char *site);
void handover_meet(struct qmgr *q); /* at the start, before the first scan */
void handover_tick(struct qmgr *q);

/* control.c: public/qmgr */
void control_accept(struct watch *watch, uint32_t events);
void control_close_all(struct qmgr *q);
void control_hear_out(struct qmgr *q); /* retiring: the connections end when all that was sent is read */
void control_reap(struct qmgr *q);

#endif
