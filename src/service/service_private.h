/* Inside of the service layer. */
#ifndef SERVICE_SERVICE_PRIVATE_H
#define SERVICE_SERVICE_PRIVATE_H

#include "service/service.h"
#include "service/service_args.h"
#include "service/shared.h"
#include <pthread.h>
#include <stdatomic.h>

enum service_state { SERVICE_SERVING, SERVICE_RETIRING, SERVICE_STOPPING };

struct service {
	const struct service_ops *ops;
	struct service_args args;
	const struct config *config, *stress_config; /* stress_config: inet services, else NULL */
	struct spool *spool;
	struct slots *slots;
	struct shared_area *area;
	struct shared_service *shared; /* NULL: not counted */
	struct shared_worker *worker;
	void *data;
	int signal_fd, wake_fd;
	_Atomic bool master_gone; /* nobody listens at SERVICE_FD_CHANNEL */
	int session_limit;	  /* by descriptors */
	uid_t owner_uid;	  /* mail_owner */
	gid_t owner_gid;
	_Atomic int state; /* enum service_state, only grows */
	_Atomic int sessions;
	void *agent;		     /* agent.c */
	int lock_fd;		     /* exclusive programs: the lock that no other process has */
	pthread_mutex_t listen_lock; /* guards listening, pauses and the closing of the listeners */
	bool listening;
	int pauses;		   /* enum service_pause bits */
	unsigned ticks;		   /* the waiter thread's own */
	_Atomic int64_t heartbeat; /* last tick, for the watchdog */
	int64_t started;
};

/* service_jail.c */
bool service_load_config(struct service *s, struct err *err);
void service_open_log(struct service *s);
bool service_enter_queue_directory(struct service *s, struct err *err);
bool service_take_lock(struct service *s, struct err *err);
bool service_open_spool(struct service *s, struct err *err);
bool service_stay_outside(struct service *s, struct err *err); /* a helper, before there are threads */
bool service_drop(struct service *s, struct err *err);
int service_raise_limits(void); /* the number of descriptors we may have */

/* service_sandbox.c: no new privileges, and no system calls that only an intruder would make */
bool service_sandbox(struct err *err);

/* service_control.c */
bool service_control_open(struct service *s, struct err *err);
bool service_control_thread(struct service *s, struct err *err); /* for programs with their own loop */
void service_control_step(struct service *s, int timeout_ms);	 /* one wait on signals and channel */
void service_tell(char byte);
void service_tick_tables(struct service *s); /* once a second, on one thread */

/* service_listen.c */
enum service_pause {
	PAUSE_TROUBLE = 1, /* out of descriptors or memory; the tick tries again */
	PAUSE_BUSY = 2,	   /* an agent has its queue manager */
	PAUSE_FULL = 4	   /* our slots are in use while another worker has a free one */
};
bool service_listen(struct service *s, struct err *err);
void service_pause(
	struct service *s, enum service_pause why); /* takes no connections until every pause is over */
void service_resume(struct service *s, enum service_pause why);
void service_close_listeners(struct service *s);
void service_tick(void *service);

#endif
