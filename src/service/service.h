/*
 * The skeleton of a daemon: arguments from master, configuration, log, privileges, root directory, sandbox,
 * slots, watchdog, reload. A program gives its ops and calls service_main from main().
 *
 * Order at start: arguments, configuration, log, before_jail (open what needs root or the real root
 * directory: keys, resolver files, spool), chroot and privileges as master.cf says, start (threads), then
 * serving until master closes the life line or says retire: stop accepting, finish, exit.
 */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include "base/net.h"
#include "base/slots.h"
#include "config/config.h"
#include "config/master_cf.h"
#include "spool/spool.h"

#define SERVICE_STOP_GRACE 5 /* seconds that running tasks have when the system stops */

struct service;

struct service_ops {
	const char *program; /* "smtpd" */
	bool needs_root;     /* keeps root: local, virtual, pipe */
	bool single_slot;    /* one task at a time per process (user ids) */
	bool no_slots;	     /* the program has its own loop: run() */
	bool exclusive; /* one process of this service at a time, whatever happened to master: qmgr, pickup */
	bool (*before_jail)(struct service *s, struct err *err);
	bool (*start)(struct service *s, struct err *err);
	/* A connection was accepted: called on the waiter thread, must not block; takes fd over. */
	void (*accepted)(struct service *s, int fd, const struct net_addr *peer);
	void (*retire)(struct service *s); /* no more connections will come; finish. May be NULL */
	int (*run)(
		struct service *s); /* no_slots programs: until service_retiring(); returns the exit status */
	void (*tick)(struct service
			*s); /* about once a second on the waiter thread, must not block; may be NULL */
	void (*end)(struct service *s);	    /* all slots have ended: release service_data(); may be NULL */
	void *(*slot_start)(void *service); /* per slot cache, given the struct service; may be NULL */
	void (*slot_end)(void *cache, void *service);
	void (*options)(struct service *s, int opt,
		const char *value); /* program's own options of master.cf's command */
	const char *option_letters; /* getopt letters of its own options, or NULL */
	bool lmtp_capable;	    /* service named lmtp, or program run as lmtp: configuration's twins */
};

int service_main(int argc, char **argv, const struct service_ops *ops);

const struct config *service_config(const struct service *s);
const char *service_name(const struct service *s); /* master.cf name */
/* What stands in master.cf after the command and its options, NULL-terminated. */
char *const *service_arguments(const struct service *s);
bool service_is_lmtp(const struct service *s); /* run as lmtp: the configuration has the twins' values */
struct slots *service_slots(struct service *s);
int service_slot_limit(const struct service *s);      /* this process's share of maxproc */
struct spool *service_spool(struct service *s);	      /* opened before the jail */
void service_set_data(struct service *s, void *data); /* the program's own */
void *service_data(const struct service *s);
int service_listener(const struct service *s, size_t i); /* descriptor, or -1 past the last */
bool service_retiring(const struct service *s); /* readable from any thread; true as well when stopping */
bool service_stopping(
	const struct service *s); /* the system stops: a few seconds (SERVICE_STOP_GRACE) are left */
int service_wake_fd(const struct service
		*s); /* readable when retiring (for programs with their own loop); never read it */
void service_leave(struct service *s); /* retire by ourselves: nothing to do, or something is wrong with us */
/* An exclusive program lets its successor begin before it ends itself. */
void service_release_lock(struct service *s);
bool service_stressed(const struct service *s); /* the service is short of slots: overload values apply */
const struct config *service_stress_config(const struct service *s); /* configuration with stress=yes */
/* A task leaves its slot although its session goes on: connections may be taken again at once. */
void service_slot_free(struct service *s);
/* How many descriptors a parked session keeps, when it is more than its own; in before_jail. */
void service_session_keeps(struct service *s, int descriptors);
/* Sessions count themselves so that retiring can wait and status can tell. */
void service_session_begin(struct service *s);
void service_session_end(struct service *s);
/* Memory shared by all processes of the instance, zero when the instance starts; for what must be counted
 * across workers. Whoever uses it lays it out and must expect any content: a process may have died anywhere.
 */
void *service_shared_clients(struct service *s, size_t *size);
/* Of this process among all of the instance, those that ended included; 0: it has none. */
uint64_t service_identity(const struct service *s);
bool service_is_alive(const struct service *s, uint64_t identity);
/* What session tickets are sealed with in all processes of the instance, newest first: how many there are. */
#define SERVICE_TICKET_KEYS 2
size_t service_ticket_keys(struct service *s, unsigned char out[SERVICE_TICKET_KEYS][32]);

#endif
