/* The services: what master.cf wants, and how many processes that means. */
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "master/master.h"

#define SLOTS_UNLIMITED 1000 /* maxproc 0, for a process */
#define PROCESSES_UNLIMITED 1000

static struct mservice *find(struct master *m, const char *name, enum service_type type)
{
	list_each(pos, &m->services)
	{
		struct mservice *s = container_of(pos, struct mservice, link);

		if (s->type == type && strcmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

static int free_index(struct master *m)
{
	bool taken[SHARED_SERVICES] = {false};

	list_each(pos, &m->services)
	{
		struct mservice *s = container_of(pos, struct mservice, link);

		if (s->index >= 0)
			taken[s->index] = true;
	}
	for (int i = 0; i < SHARED_SERVICES; i++) {
		if (!taken[i])
			return i;
	}
	return -1;
}

static struct mservice *service_new(struct master *m, const struct master_service *entry)
{
	struct mservice *s = x_alloc(sizeof *s);

	s->master = m;
	s->name = x_strdup(entry->name);
	s->type = entry->type;
	s->index = free_index(m);
	list_init(&s->workers);
	list_append(&m->services, &s->link);
	return s;
}

static void watch_stop(struct mservice *s)
{
	for (size_t i = 0; s->watching && i < s->listener_count; i++)
		loop_unwatch(s->master->loop, &s->watches[i]);
	s->watching = false;
	x_free(&s->watches);
}

static void service_free(struct mservice *s)
{
	watch_stop(s);
	loop_cancel(s->master->loop, &s->restart);
	loop_cancel(s->master->loop, &s->wakeup);
	list_remove(&s->link);
	x_free(&s->listeners);
	x_free(&s->name);
	x_free(&s->file);
	x_free(&s);
}

void services_sweep(struct master *m)
{
	list_each(pos, &m->services)
	{
		struct mservice *s = container_of(pos, struct mservice, link);

		if (!s->kept && list_empty(&s->workers))
			service_free(s);
	}
}

static int processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 2 ? (int)n : 2;
}

/* maxproc is shared out among the processes of a service with threads; for the others it is their number. */
static void set_limits(struct mservice *s)
{
	const struct config *cfg = s->master->settings->config;
	int maxproc = s->entry->maxproc < 0 ? cfg->default_process_limit : s->entry->maxproc;
	int workers = cfg->worker_processes > 0 ? cfg->worker_processes : processors();

	if (s->program->kind == PROGRAM_RESIDENT) {
		s->workers_wanted = 1;
		s->slots_each = maxproc > 0 ? maxproc : 1;
	} else if (s->program->kind == PROGRAM_SINGLE) {
		s->workers_wanted = maxproc > 0 ? maxproc : PROCESSES_UNLIMITED;
		s->slots_each = 1;
	} else {
		s->workers_wanted = maxproc > 0 && maxproc < workers ? maxproc : workers;
		s->slots_each =
			maxproc > 0 ? (maxproc + s->workers_wanted - 1) / s->workers_wanted : SLOTS_UNLIMITED;
	}
}

static bool program_present(struct mservice *s)
{
	const struct config *cfg = s->master->settings->config;

	x_free(&s->file);
	s->file = program_path(s->program, s->entry->command, cfg->daemon_directory);
	if (access(s->file, X_OK) == 0)
		return true;
	log_line(s->type == SERVICE_INET ? LOGL_ERROR : LOGL_WARNING,
		"master.cf, line %d: service %s is not available: there is no program %s", s->entry->line,
		s->name, s->file);
	return false;
}

/* While the system runs, a service of several addresses goes on with those that can be had. */
static bool listen_anywhere(struct mservice *s, bool first, struct err *err)
{
	if (listen_service(s, err))
		return true;
	err_prefix(err, "service %s", s->name);
	if (first || s->type != SERVICE_INET || s->listener_count == 0)
		return false;
	log_error("%s", err->text);
	return true;
}

static bool adopt(struct master *m, const struct master_service *entry, const struct program *program,
	bool first, struct err *err)
{
	struct mservice *s = find(m, entry->name, entry->type);

	if (s && s->kept)
		return err_set(
			err, "master.cf, line %d: service %s is there twice", entry->line, entry->name);
	if (!s)
		s = service_new(m, entry);
	watch_stop(s);
	s->listener_count = 0;
	s->entry = entry;
	s->program = program;
	if (!program_present(s))
		return true;
	if (!listen_anywhere(s, first, err)) {
		s->listener_count = 0;
		return false;
	}
	set_limits(s);
	s->kept = true;
	s->proved = false;
	s->blocked_until = 0;
	return true;
}

/* master_service_disable: "inet" (all of a type), "smtp/inet" or "smtp.inet" (one). */
static bool disabled(const struct config *cfg, const struct master_service *entry)
{
	struct str rest = str_c(cfg->master_service_disable), word;
	const char *type = service_type_name(entry->type);
	size_t n = strlen(entry->name);

	while (str_word(&rest, ", \t\r\n", &word)) {
		if (str_is(word, type))
			return true;
		if (word.n == n + 1 + strlen(type) && memcmp(word.p, entry->name, n) == 0 &&
			(word.p[n] == '/' || word.p[n] == '.') && str_is(str_from(word, n + 1), type))
			return true;
	}
	return false;
}

static bool adopt_all(struct master *m, bool first, struct err *err)
{
	const struct master_cf *table = m->settings->table;

	for (size_t i = 0; i < table->count; i++) {
		const struct master_service *entry = &table->services[i];
		const struct program *program = program_find(entry->command);

		if (program->kind == PROGRAM_LIBRARY || disabled(m->settings->config, entry))
			continue;
		if (adopt(m, entry, program, first, err))
			continue;
		if (first)
			return false;
		log_error("%s", err->text);
	}
	return true;
}

static void forget_all(struct master *m)
{
	list_each(pos, &m->services) container_of(pos, struct mservice, link)->kept = false;
	list_each(pos, &m->listeners) container_of(pos, struct listener, link)->used = false;
}

static void retire_removed(struct mservice *s)
{
	watch_stop(s);
	loop_cancel(s->master->loop, &s->restart);
	loop_cancel(s->master->loop, &s->wakeup);
	list_each(pos, &s->workers) worker_retire(container_of(pos, struct worker, link), CHANNEL_RETIRE);
}

/* Workers on the old settings of a network service serve on until the first new one is ready; see worker.c.
 */
static void start_kept(struct mservice *s, bool first)
{
	if (s->type != SERVICE_INET) {
		list_each(pos, &s->workers)
			worker_retire(container_of(pos, struct worker, link), CHANNEL_RETIRE);
	}
	service_fill(s);
	wakeup_schedule(s, first);
}

bool services_apply(struct master *m, bool first, struct err *err)
{
	forget_all(m);
	if (!adopt_all(m, first, err))
		return false;
	list_each(pos, &m->services)
	{
		struct mservice *s = container_of(pos, struct mservice, link);

		if (!s->kept)
			retire_removed(s);
		else
			start_kept(s, first);
	}
	listen_sweep(m);
	services_sweep(m);
	return true;
}

static bool from_the_start(const struct mservice *s)
{
	return s->program->kind == PROGRAM_RESIDENT ||
	       (s->type == SERVICE_INET && s->program->kind == PROGRAM_THREADED);
}

static void unblock(void *arg)
{
	struct mservice *s = arg;

	s->blocked_until = 0;
	service_fill(s);
}

void service_block(struct mservice *s, int64_t ns)
{
	int64_t until = clock_mono() + ns;

	if (until <= s->blocked_until)
		return;
	s->blocked_until = until;
	loop_timer(s->master->loop, &s->restart, ns, unblock, s);
}

static bool may_start(const struct mservice *s)
{
	return s->kept && s->master->state == MASTER_RUNNING && s->blocked_until == 0 &&
	       service_live_workers(s) < s->workers_wanted;
}

/* One that is told to go may hang in its start, on a table or a server that the new configuration does
 * without. */
static bool somebody_free(const struct mservice *s)
{
	list_each(pos, &s->workers)
	{
		const struct worker *w = container_of(pos, struct worker, link);

		if (!w->told && (w->state == WORKER_READY || w->state == WORKER_STARTING))
			return true;
	}
	return false;
}

static void connection_waits(void *arg)
{
	struct mservice *s = arg;

	if (may_start(s) && !somebody_free(s))
		worker_spawn(s);
	service_fill(s);
}

static void watch_start(struct mservice *s)
{
	if (s->watching)
		return;
	s->watches = x_alloc((s->listener_count + 1) * sizeof *s->watches);
	for (size_t i = 0; i < s->listener_count; i++)
		loop_watch(s->master->loop, &s->watches[i], s->listeners[i]->fd, connection_waits, s);
	s->watching = true;
}

void service_fill(struct mservice *s)
{
	if (from_the_start(s)) {
		while (may_start(s) && worker_spawn(s))
			continue;
	} else if (may_start(s) && !somebody_free(s)) {
		watch_start(s);
	} else {
		watch_stop(s);
	}
}

void services_stop(struct master *m, char byte)
{
	list_each(pos, &m->services)
	{
		struct mservice *s = container_of(pos, struct mservice, link);

		watch_stop(s);
		loop_cancel(m->loop, &s->restart);
		loop_cancel(m->loop, &s->wakeup);
		s->kept = false;
		s->listener_count = 0;
		list_each(worker, &s->workers) worker_retire(container_of(worker, struct worker, link), byte);
	}
	list_each(pos, &m->listeners)
	{
		struct listener *l = container_of(pos, struct listener, link);

		l->used = l->path && str_starts(str_c(l->path), STR("private/"));
	}
	listen_sweep(m);
}

void services_close(struct master *m)
{
	list_each(pos, &m->listeners) container_of(pos, struct listener, link)->used = false;
	listen_sweep(m);
	services_sweep(m);
}

bool services_empty(const struct master *m)
{
	list_each(pos, &m->services)
	{
		if (!list_empty(&container_of(pos, struct mservice, link)->workers))
			return false;
	}
	return true;
}
