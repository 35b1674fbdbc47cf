/*
 * What master and the processes it starts have in common: the descriptors a process is born with, the bytes
 * on its channel, and a mapping shared by all processes of an instance.
 *
 * Shared state: struct shared_area. Every field is an atomic of its own; a worker writes its struct
 * shared_worker, master clears it when the worker is gone.
 */
#ifndef SERVICE_SHARED_H
#define SERVICE_SHARED_H

#include "base/err.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum service_fd {
	SERVICE_FD_CHANNEL =
		3,	       /* UNIX stream to master: the bytes below; its end means that master is gone */
	SERVICE_FD_SHARED = 4, /* struct shared_area */
	SERVICE_FD_CONFIG = 5, /* the texts of main.cf and master.cf that master found valid, NUL between */
	SERVICE_FD_LOG = 6,    /* maillog_file, when -f is given */
	SERVICE_FD_LISTEN = 7  /* the first listening socket; -s says how many */
};

/* From the process to master. */
#define CHANNEL_READY 'A'   /* takes connections */
#define CHANNEL_TAKEN 'T'   /* takes no connection now */
#define CHANNEL_LEAVING 'L' /* takes none any more, ends when its work is done */
/* From master to the process. */
#define CHANNEL_RETIRE 'R' /* finish your work, take no more */
#define CHANNEL_STOP 'S'   /* the system stops */
#define CHANNEL_LOG 'F'	   /* comes with a descriptor: the new maillog_file */

#define SHARED_SERVICES 256
#define SHARED_WORKERS 64 /* of one service that are counted */
#define SHARED_CLIENTS_BYTES (8u << 20)

struct shared_worker {
	_Atomic int32_t pid; /* 0: nobody */
	_Atomic int32_t slots, running, queued, parked, sessions;
	_Atomic bool closed; /* takes no connections now, whatever slots it has */
};

struct shared_service {
	_Atomic int64_t
		stressed_until; /* nanoseconds of the monotonic clock, which is the same in all processes */
	struct shared_worker workers[SHARED_WORKERS];
};

/* A key of session tickets. master alone writes it; version is odd while it does, 0 before the first time. */
#define SHARED_TICKET_KEYS 2
#define SHARED_TICKET_WORDS 4
struct shared_ticket_key {
	_Atomic uint64_t version;
	_Atomic int64_t made; /* clock_mono() */
	_Atomic uint64_t words[SHARED_TICKET_WORDS];
};

struct shared_area {
	_Atomic int64_t started_us; /* when the instance was started, microseconds since 1970 */
	struct shared_service services[SHARED_SERVICES];
	struct shared_ticket_key ticket_keys[SHARED_TICKET_KEYS];
	unsigned char clients[SHARED_CLIENTS_BYTES];
};

int shared_create(struct err *err);			 /* a descriptor whose size is sealed; -1 */
struct shared_area *shared_map(int fd, struct err *err); /* fd -1: private memory; NULL on failure */
/* master: a new key takes the place of the oldest when the newest is `seconds` old; 0: no keys. So a ticket
 * is good for that long, and no key for more than twice that. */
bool shared_turn_ticket_keys(struct shared_area *a, int seconds, struct err *err);
/* The keys there are, newest first. */
size_t shared_ticket_keys(
	struct shared_area *a, unsigned char out[SHARED_TICKET_KEYS][8 * SHARED_TICKET_WORDS]);
/* Sums over the workers of a service. */
struct shared_worker_sum {
	int slots, running, queued, parked, sessions;
};
struct shared_worker_sum shared_sum(struct shared_service *s);
/* Whether another worker than w takes connections and has a slot that nobody uses. */
bool shared_others_free(struct shared_service *s, const struct shared_worker *w);
/* All slots busy or work waiting for one: says so in stressed_until for SHARED_STRESS_HOLD. */
bool shared_check_stress(struct shared_service *s);
#define SHARED_STRESS_HOLD 10 /* seconds without shortage until the normal values come back */

#endif
