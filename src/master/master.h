/*
 * master: reads main.cf and master.cf, owns the listening sockets, starts the processes of the services and
 * starts them again. One thread; everything hangs on struct master.
 */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include "base/list.h"
#include "config/master_cf.h"
#include "config/programs.h"
#include "master/address.h"
#include "master/loop.h"
#include "service/shared.h"
#include <sys/types.h>

/* One reading of main.cf and master.cf that was found valid. Counted: services and processes of the time
 * before a reload do not keep it. */
struct settings {
	const struct config *config;
	struct master_cf *table;
	int texts_fd; /* sealed memory for the processes: the texts of main.cf and master.cf, NUL between */
	uint64_t fingerprint; /* of both files' text */
};

enum master_mode {
	MODE_BACKGROUND, /* daemon; the starter waits until the services listen */
	MODE_FOREGROUND
};

enum master_state { MASTER_RUNNING, MASTER_STOPPING, MASTER_DONE };

struct master {
	enum master_mode mode;
	enum master_state state;
	char *config_dir; /* absolute; ours */
	int verbose;
	struct settings *settings;
	struct loop *loop;
	int shared_fd;
	struct shared_area *shared;
	int log_fd;	       /* maillog_file; -1: syslog */
	int lock_fds[2];       /* pid/master.pid, data_directory/master.lock */
	int starter_fd;	       /* who waits for us in the background mode; -1 */
	unsigned generation;   /* of the configuration, counts reloads */
	struct list services;  /* struct mservice */
	struct list listeners; /* struct listener */
	struct loop_watch signals, files;
	struct loop_timer stop_timer, settle_timer, minute_timer;
};

struct listener {
	struct list link;
	char *key;  /* "inet:127.0.0.1:25", "unix:private/smtp" */
	char *path; /* UNIX socket or FIFO to unlink, or NULL */
	int fd;
	bool used; /* by the current configuration */
};

/* A line of master.cf that starts processes. */
struct mservice {
	struct list link;
	struct master *master;
	char *name;
	enum service_type type;
	const struct master_service *entry; /* in master->settings->table */
	const struct program *program;
	char *file; /* full path of the program */
	int index;  /* in the shared mapping, -1: not counted */
	struct listener **listeners;
	size_t listener_count;
	struct loop_watch *watches; /* per listener, while it waits for a first connection */
	bool watching;
	int workers_wanted; /* processes at most; services of the network have as many from the start */
	int slots_each;
	bool kept;	       /* still in master.cf */
	int64_t blocked_until; /* no process is started before, clock_mono(); 0: free */
	bool proved;	       /* a process came to work with the present configuration */
	int64_t warned_stress;
	struct list workers; /* struct worker */
	struct loop_timer restart, wakeup;
};

enum worker_state { WORKER_STARTING, WORKER_READY, WORKER_TAKEN, WORKER_LEAVING };

struct worker {
	struct list link;
	struct mservice *service;
	pid_t pid;
	unsigned generation;
	enum worker_state state;
	bool told; /* to retire or stop */
	int index; /* in the shared mapping, -1 */
	struct loop_watch channel;
};

/* settings.c */
/* strict: every service of master.cf must be able to load its own configuration. */
struct settings *settings_load(const char *config_dir, bool strict, struct err *err);
void settings_free(struct settings **s);
uint64_t settings_fingerprint(
	const char *config_dir); /* of the files as they are now; 0: one cannot be read */

/* startup.c */
bool startup_check(const struct config *cfg, struct err *err); /* user, group, directories */
bool startup_locks(struct master *m, struct err *err);
bool startup_detach(
	struct master *m, struct err *err); /* background mode: the caller goes on as the daemon */
void startup_done(struct master *m);	    /* tells the starter and the service manager */
void startup_notify(const char *message);   /* sd_notify(3) protocol */

/* logfile.c */
bool logfile_open(struct master *m, struct err *err); /* also again, after rotation */

/* listen.c */
bool listen_service(struct mservice *s, struct err *err); /* finds or makes its listeners */
void listen_sweep(struct master *m);			  /* closes those that no service uses */

/* services.c */
bool services_apply(struct master *m, bool first,
	struct err *err);	       /* makes the services what settings say; err only when first */
void service_fill(struct mservice *s); /* as many processes as wanted now */
void service_block(struct mservice *s, int64_t ns); /* starts none for a while */
/* Nobody from outside comes in any more. The queue manager's way to the agents stays until services_close():
 * an agent that cannot be reached would make mail wait for long. */
void services_stop(struct master *m, char byte);
void services_close(struct master *m);
bool services_empty(const struct master *m);
void services_sweep(struct master *m); /* forgets removed services without processes */

/* worker.c */
bool worker_spawn(struct mservice *s);
void worker_retire(struct worker *w, char byte);
void workers_reap(struct master *m);
void workers_kill(struct master *m);
void workers_send_log(struct master *m);	    /* the new maillog_file */
int service_live_workers(const struct mservice *s); /* those that count against workers_wanted */

/* reload.c */
void master_reload(struct master *m, const char *why); /* why NULL: asked for by the operator */
bool watch_open(struct master *m, struct err *err);    /* main.cf and master.cf are watched */

/* wakeup.c */
void wakeup_schedule(struct mservice *s, bool first);

#endif
