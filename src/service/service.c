#include "service/service.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "mail/event.h"
#include "service/service_private.h"
#include "table/table_outside.h"

#define FINISH_POLL_MS 100
#define DESCRIPTORS_KEPT 256 /* for tables, logs, the spool */
#define DESCRIPTORS_OF_SLOT 4

const struct config *service_config(const struct service *s)
{
	return s->config;
}

const struct config *service_stress_config(const struct service *s)
{
	return s->stress_config ? s->stress_config : s->config;
}

const char *service_name(const struct service *s)
{
	return s->args.name;
}

char *const *service_arguments(const struct service *s)
{
	return s->args.rest;
}

bool service_is_lmtp(const struct service *s)
{
	return s->ops->lmtp_capable && strcmp(s->args.program, "lmtp") == 0;
}

struct slots *service_slots(struct service *s)
{
	return s->slots;
}

int service_slot_limit(const struct service *s)
{
	return s->ops->single_slot ? 1 : s->args.slots;
}

struct spool *service_spool(struct service *s)
{
	return s->spool;
}

void service_set_data(struct service *s, void *data)
{
	s->data = data;
}

void *service_data(const struct service *s)
{
	return s->data;
}

int service_listener(const struct service *s, size_t i)
{
	return i < (size_t)s->args.listeners ? SERVICE_FD_LISTEN + (int)i : -1;
}

bool service_retiring(const struct service *s)
{
	return atomic_load(&s->state) != SERVICE_SERVING;
}

bool service_stopping(const struct service *s)
{
	return atomic_load(&s->state) == SERVICE_STOPPING;
}

int service_wake_fd(const struct service *s)
{
	return s->wake_fd;
}

void service_session_begin(struct service *s)
{
	int n = atomic_fetch_add(&s->sessions, 1) + 1;

	if (s->worker)
		atomic_store_explicit(&s->worker->sessions, n, memory_order_relaxed);
}

void service_session_end(struct service *s)
{
	int n = atomic_fetch_sub(&s->sessions, 1) - 1;

	if (s->worker)
		atomic_store_explicit(&s->worker->sessions, n, memory_order_relaxed);
}

void *service_shared_clients(struct service *s, size_t *size)
{
	*size = sizeof s->area->clients;
	return s->area->clients;
}

/* Where its counters are, and which process it is. */
uint64_t service_identity(const struct service *s)
{
	uint64_t place = (uint64_t)s->args.service * SHARED_WORKERS + (uint64_t)s->args.worker;

	return s->worker ? place << 32 | (uint32_t)getpid() : 0;
}

bool service_is_alive(const struct service *s, uint64_t identity)
{
	uint64_t place = identity >> 32, service = place / SHARED_WORKERS;

	return service < SHARED_SERVICES &&
	       atomic_load(&s->area->services[service].workers[place % SHARED_WORKERS].pid) ==
		       (int32_t)identity;
}

size_t service_ticket_keys(struct service *s, unsigned char out[SERVICE_TICKET_KEYS][32])
{
	_Static_assert(
		SERVICE_TICKET_KEYS == SHARED_TICKET_KEYS && 8 * SHARED_TICKET_WORDS == 32, "same keys");
	return shared_ticket_keys(s->area, out);
}

static void program_option(void *arg, int letter, const char *value)
{
	struct service *s = arg;

	if (s->ops->options)
		s->ops->options(s, letter, value);
}

static bool map_shared(struct service *s, struct err *err)
{
	bool counted = s->args.service >= 0 && s->args.service < SHARED_SERVICES;

	s->area = shared_map(counted ? SERVICE_FD_SHARED : -1, err);
	if (!s->area)
		return false;
	if (!counted)
		return true;
	s->shared = &s->area->services[s->args.service];
	if (s->args.worker >= 0 && s->args.worker < SHARED_WORKERS) {
		s->worker = &s->shared->workers[s->args.worker];
		atomic_store(&s->worker->pid, getpid());
		atomic_store(&s->worker->slots, service_slot_limit(s));
	}
	return true;
}

static void *slot_start(void *arg)
{
	struct service *s = arg;

	return s->ops->slot_start ? s->ops->slot_start(s) : NULL;
}

static void slot_end(void *cache, void *arg)
{
	struct service *s = arg;

	if (s->ops->slot_end)
		s->ops->slot_end(cache, s);
}

/* Names of threads are short: "smtpd" of "smtpd", whatever the service is called. */
static bool make_slots(struct service *s, struct err *err)
{
	struct slots_options options = {
		.max_slots = service_slot_limit(s),
		.idle_ns = s->config->max_idle * NS_PER_SEC,
		.max_use = s->config->max_use,
		.slot_start = slot_start,
		.slot_end = slot_end,
		.arg = s,
		.name = s->ops->program,
		.running = s->worker ? &s->worker->running : NULL,
		.queued = s->worker ? &s->worker->queued : NULL,
	};

	s->slots = slots_new(&options, err);
	return s->slots != NULL;
}

/* A parked session has one descriptor, a running one some more for files and servers that it asks. */
static int session_limit(int descriptors, int slots)
{
	int limit = descriptors - DESCRIPTORS_KEPT - DESCRIPTORS_OF_SLOT * slots;

	return limit > descriptors / 4 ? limit : descriptors / 4;
}

/* Programs that deliver for users start other programs: those get none of master's descriptors. */
static void keep_descriptors_private(const struct service *s)
{
	for (int fd = SERVICE_FD_CHANNEL; fd < SERVICE_FD_LISTEN + s->args.listeners; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* All that needs root or the real root directory comes before service_drop. */
static bool prepare(struct service *s, struct err *err)
{
	s->started = clock_mono();
	keep_descriptors_private(s);
	if (!map_shared(s, err) || !service_load_config(s, err))
		return false;
	service_open_log(s);
	event_set_resolution(s->config->delay_logging_resolution_limit);
	event_set_address_form(strcmp(s->config->info_log_address_format, "external") == 0);
	s->session_limit = session_limit(service_raise_limits(), service_slot_limit(s));
	if (!service_control_open(s, err) || !service_enter_queue_directory(s, err))
		return false;
	if (!service_stay_outside(s, err))
		return false;
	if (s->ops->exclusive && !service_take_lock(s, err))
		return false;
	if (!service_open_spool(s, err))
		return false;
	if (s->ops->before_jail && !s->ops->before_jail(s, err))
		return false;
	return service_drop(s, err);
}

static bool start(struct service *s, struct err *err)
{
	if (s->ops->no_slots) {
		if (!service_control_thread(s, err))
			return false;
		return !s->ops->start || s->ops->start(s, err);
	}
	if (!make_slots(s, err))
		return false;
	if (s->ops->start && !s->ops->start(s, err))
		return false;
	atomic_store(&s->heartbeat, clock_mono());
	slots_tick(s->slots, 250, service_tick, s);
	return !s->ops->accepted || service_listen(s, err);
}

static int overdue(struct service *s)
{
	return slots_overdue(s->slots, clock_mono() - s->config->daemon_timeout * NS_PER_SEC);
}

/* What hangs is not waited for. */
static bool work_left(struct service *s)
{
	struct slots_load load = slots_load(s->slots);
	int hanging = overdue(s);

	return atomic_load(&s->sessions) > hanging || load.running > hanging || load.queued > 0;
}

static void release(struct service *s)
{
	if (s->ops->end)
		s->ops->end(s);
	slots_free(&s->slots);
	spool_close(&s->spool);
	config_free(&s->config);
	config_free(&s->stress_config);
	service_args_free(&s->args);
	pthread_mutex_destroy(&s->listen_lock);
	x_free(&s);
}

/* Retiring waits for the sessions as long as they last; stopping gives them SERVICE_STOP_GRACE. */
static int finish(struct service *s)
{
	service_close_listeners(s);
	service_tell(CHANNEL_LEAVING);
	if (s->worker)
		atomic_store(&s->worker->slots, 0);
	if (s->ops->retire)
		s->ops->retire(s);
	while (!service_stopping(s) && work_left(s))
		service_control_step(s, FINISH_POLL_MS);
	if (!slots_stop(s->slots, deadline_in(SERVICE_STOP_GRACE))) {
		log_warning("%d sessions did not end in %d seconds and were cut", atomic_load(&s->sessions),
			SERVICE_STOP_GRACE);
		table_outside_stop();
		_exit(0);
	}
	release(s);
	table_outside_stop();
	return 0;
}

/* A task that hangs costs its slot; the process serves the others to their end and makes room for a new one.
 * A waiter that hangs costs the process. */
static void check_watchdog(struct service *s)
{
	int64_t silent = clock_mono() - atomic_load(&s->heartbeat);

	if (silent >= s->config->daemon_timeout * NS_PER_SEC) {
		log_line(LOGL_PANIC, "watchdog timeout");
		abort();
	}
	if (overdue(s) > 0) {
		log_error("watchdog timeout: a task takes longer than daemon_timeout; this process retires");
		service_leave(s);
	}
}

static int run_own_loop(struct service *s)
{
	int status = s->ops->run(s);

	table_outside_stop();
	return status;
}

static int serve(struct service *s)
{
	service_tell(CHANNEL_READY);
	if (s->ops->no_slots)
		return run_own_loop(s);
	while (!service_retiring(s)) {
		service_control_step(s, 1000);
		check_watchdog(s);
		service_tick_tables(s);
	}
	return finish(s);
}

int service_main(int argc, char **argv, const struct service_ops *ops)
{
	struct service *s = x_alloc(sizeof *s);
	struct err err = {""};

	s->ops = ops;
	pthread_mutex_init(&s->listen_lock, NULL);
	s->signal_fd = s->wake_fd = -1;
	if (!service_args_parse(argc, argv, ops->option_letters, program_option, s, &s->args, &err) ||
		!prepare(s, &err) || !start(s, &err)) {
		if (service_retiring(s))
			_exit(0); /* told to go while it waited for the process before it: no failure */
		log_fatal("%s", err.text);
	}
	return serve(s);
}
