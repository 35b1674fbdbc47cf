/*
 * The skeleton of a daemon: arguments from master, configuration, log, privileges, root directory, sandbox, slots, watchdog, reload. A program gives its ops and
 * calls service_main from main().
 *
 * Order at start: arguments, configuration, log, before_jail (open what needs root or the real root directory: keys, resolver files, spool), chroot and privileges
 * as master.cf says, start (threads), then serving until master closes the life line or says retire: stop accepting, finish, exit.
 */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include "base/net.h"
#include "base/slots.h"
#include "config/config.h"
#include "config/master_cf.h"
#include "spool/spool.h"

struct service;

struct service_ops {
	const char *program;                            /* "smtpd" */
	bool needs_root;                                /* keeps root: local, virtual, pipe */
	bool single_slot;                               /* one task at a time per process (user ids) */
	bool no_slots;                                  /* the program has its own loop: run() */
	bool (*before_jail)(struct service *s, struct err *err);
	bool (*start)(struct service *s, struct err *err);
	/* A connection was accepted: called on the waiter thread, must not block; takes fd over. */
	void (*accepted)(struct service *s, int fd, const struct net_addr *peer);
	void (*retire)(struct service *s);              /* no more connections will come; finish. May be NULL */
	int (*run)(struct service *s);                  /* no_slots programs: until service_retiring(); returns the exit status */
	void *(*slot_start)(void *service);             /* per slot cache, given the struct service; may be NULL */
	void (*slot_end)(void *cache, void *service);
	void (*options)(struct service *s, int opt, const char *value);  /* program's own options of master.cf's command */
	const char *option_letters;                     /* getopt letters of its own options, or NULL */
	bool lmtp_capable;                              /* service named lmtp, or program run as lmtp: configuration's twins */
};

int service_main(int argc, char **argv, const struct service_ops *ops);

const struct config *service_config(const struct service *s);
const char *service_name(const struct service *s);              /* master.cf name */
enum service_type service_kind(const struct service *s);
struct slots *service_slots(struct service *s);
int service_slot_limit(const struct service *s);                /* this process's share of maxproc */
struct spool *service_spool(struct service *s);                 /* opened before the jail */
void service_set_data(struct service *s, void *data);           /* the program's own */
void *service_data(const struct service *s);
int service_listener(const struct service *s, size_t i);        /* descriptor, or -1 past the last */
bool service_retiring(const struct service *s);                 /* readable from any thread */
int service_wake_fd(const struct service *s);                   /* readable when retiring (for programs with their own loop) */
bool service_stressed(const struct service *s);                 /* the service is short of slots: overload values apply */
const struct config *service_stress_config(const struct service *s);    /* configuration with stress=yes */
/* Sessions count themselves so that retiring can wait and status can tell. */
void service_session_begin(struct service *s);
void service_session_end(struct service *s);
/* True where the process may use its own fd path "public/qmgr" relative to the queue directory: cwd is the queue directory, also in the chroot. */
const char *service_queue_path(const struct service *s, const char *relative, char *out, size_t size);

#endif
