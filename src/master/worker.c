/* The processes of a service: started, listened to, reaped. */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "master/master.h"
#include "master/spawn.h"
#include "service/service_args.h"

#define RESTART_PAUSE                                                                                        \
	NS_PER_SEC /* after a crash in service: at once would let a client that can crash us turn us in      \
		      circles */

/* A process of an earlier configuration counts only where more than maxproc at a time would do harm. The
 * queue manager says itself when its successor may begin. */
static bool counts(const struct mservice *s, const struct worker *w)
{
	if (s->program->kind == PROGRAM_RESIDENT)
		return w->state != WORKER_LEAVING;
	if (s->program->kind != PROGRAM_THREADED)
		return true;
	return w->generation == s->master->generation && w->state != WORKER_LEAVING;
}

int service_live_workers(const struct mservice *s)
{
	int n = 0;

	list_each(pos, &s->workers) n += counts(s, container_of(pos, struct worker, link));
	return n;
}

static int free_index(const struct mservice *s)
{
	bool taken[SHARED_WORKERS] = {false};

	if (s->index < 0)
		return -1;
	list_each(pos, &s->workers)
	{
		const struct worker *w = container_of(pos, struct worker, link);

		if (w->index >= 0)
			taken[w->index] = true;
	}
	for (int i = 0; i < SHARED_WORKERS; i++) {
		if (!taken[i])
			return i;
	}
	return -1;
}

static void clear_counters(const struct worker *w)
{
	struct shared_worker *sw;

	if (w->service->index < 0 || w->index < 0)
		return;
	sw = &w->service->master->shared->services[w->service->index].workers[w->index];
	atomic_store(&sw->pid, 0);
	atomic_store(&sw->slots, 0);
	atomic_store(&sw->running, 0);
	atomic_store(&sw->queued, 0);
	atomic_store(&sw->parked, 0);
	atomic_store(&sw->sessions, 0);
	atomic_store(&sw->closed, false);
}

/* A process of a newer configuration, if not yet of the newest, took over: those before it may go. */
static void retire_older(const struct worker *newer)
{
	list_each(pos, &newer->service->workers)
	{
		struct worker *w = container_of(pos, struct worker, link);

		if (w->generation < newer->generation)
			worker_retire(w, CHANNEL_RETIRE);
	}
}

static void take_byte(struct worker *w, char byte)
{
	if (byte == CHANNEL_READY && w->state != WORKER_LEAVING) {
		w->state = WORKER_READY;
		if (w->generation == w->service->master->generation)
			w->service->proved = true;
		retire_older(w);
	} else if (byte == CHANNEL_TAKEN && w->state != WORKER_LEAVING) {
		w->state = WORKER_TAKEN;
	} else if (byte == CHANNEL_LEAVING) {
		w->state = WORKER_LEAVING;
	}
}

/* The end of the channel is no news: the process is about to be reaped. */
static void channel_ready(void *arg)
{
	struct worker *w = arg;
	char bytes[64];
	ssize_t n = recv(w->channel.fd, bytes, sizeof bytes, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		int fd = w->channel.fd;

		loop_unwatch(w->service->master->loop, &w->channel);
		sys_close(&fd);
		return;
	}
	for (ssize_t i = 0; i < n; i++)
		take_byte(w, bytes[i]);
	service_fill(w->service);
}

static struct worker *worker_new(struct mservice *s, int channel)
{
	struct worker *w = x_alloc(sizeof *w);

	w->service = s;
	w->generation = s->master->generation;
	w->index = free_index(s);
	list_append(&s->workers, &w->link);
	loop_watch(s->master->loop, &w->channel, channel, channel_ready, w);
	return w;
}

static void worker_free(struct worker *w)
{
	int fd = w->channel.fd;

	loop_unwatch(w->service->master->loop, &w->channel);
	sys_close(&fd);
	clear_counters(w);
	list_remove(&w->link);
	x_free(&w);
}

static char **make_argv(const struct mservice *s, const struct worker *w)
{
	const struct master_service *e = s->entry;
	struct service_args args = {
		.program = e->command,
		.config_dir = s->master->config_dir,
		.name = s->name,
		.type = s->type,
		.unprivileged = e->unprivileged,
		.chroot = e->chroot,
		.log_fd = s->master->log_fd >= 0,
		.slots = s->slots_each,
		.listeners = (int)s->listener_count,
		.service = s->index,
		.worker = w->index,
		.verbose = s->master->verbose,
		.overrides = e->overrides,
		.override_count = e->override_count,
	};

	return service_argv_make(&args, e->argv[0] ? e->argv + 1 : e->argv);
}

static pid_t start(struct mservice *s, struct worker *w, int channel, struct err *err)
{
	const struct master *m = s->master;
	int count = SERVICE_FD_LISTEN - SERVICE_FD_CHANNEL + (int)s->listener_count;
	int *fds = x_alloc((size_t)count * sizeof *fds);
	struct spawn p = {.file = s->file, .fds = fds, .count = count, .quiet = m->mode == MODE_BACKGROUND};
	pid_t pid;

	fds[SERVICE_FD_CHANNEL - 3] = channel;
	fds[SERVICE_FD_SHARED - 3] = m->shared_fd;
	fds[SERVICE_FD_CONFIG - 3] = m->settings->texts_fd;
	fds[SERVICE_FD_LOG - 3] = m->log_fd;
	for (size_t i = 0; i < s->listener_count; i++)
		fds[SERVICE_FD_LISTEN - 3 + i] = s->listeners[i]->fd;
	p.argv = make_argv(s, w);
	p.envp = spawn_environment(m->settings->config->import_environment, m->config_dir);
	pid = spawn_program(&p, err);
	service_argv_free(&p.argv);
	spawn_free_environment(&p.envp);
	x_free(&fds);
	return pid;
}

bool worker_spawn(struct mservice *s)
{
	struct err err = {""};
	struct worker *w;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
		log_error("channel for service %s: %s", s->name, strerror(errno));
		service_block(s, RESTART_PAUSE);
		return false;
	}
	w = worker_new(s, ends[0]);
	w->pid = start(s, w, ends[1], &err);
	close(ends[1]);
	if (w->pid < 0) {
		log_error("%s", err.text);
		worker_free(w);
		service_block(s, RESTART_PAUSE);
		return false;
	}
	log_debug("service %s: started %s, pid %d", s->name, s->file, (int)w->pid);
	return true;
}

void worker_retire(struct worker *w, char byte)
{
	if (w->told && byte == CHANNEL_RETIRE)
		return;
	w->told = true;
	if (w->channel.fd >= 0 && send(w->channel.fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
		log_debug("process %d does not listen", (int)w->pid);
}

static void send_log(const struct worker *w, int fd)
{
	char byte = CHANNEL_LOG,
	     room[CMSG_SPACE(sizeof fd)] __attribute__((aligned(__alignof__(struct cmsghdr)))) = {0};
	struct iovec part = {&byte, 1};
	struct msghdr msg = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	/* A process that has ended logs no more. */
	if (w->channel.fd >= 0 && sendmsg(w->channel.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) != 1 &&
		errno != EPIPE && errno != ECONNRESET)
		log_warning("process %d keeps the old log file: %s", (int)w->pid, strerror(errno));
}

void workers_send_log(struct master *m)
{
	list_each(service, &m->services)
	{
		list_each(pos, &container_of(service, struct mservice, link)->workers)
			send_log(container_of(pos, struct worker, link), m->log_fd);
	}
}

static void log_end(const struct worker *w, int status)
{
	const char *file = w->service->file;

	if (WIFSIGNALED(status))
		log_warning("process %s pid %d killed by signal %d", file, (int)w->pid, WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		log_warning("process %s pid %d exit status %d", file, (int)w->pid, WEXITSTATUS(status));
	else
		log_warning("process %s pid %d ended without a word", file, (int)w->pid);
}

/* What it said last may not have been read yet. */
static void hear_out(struct worker *w)
{
	char byte;

	while (w->channel.fd >= 0 && recv(w->channel.fd, &byte, 1, MSG_DONTWAIT) == 1)
		take_byte(w, byte);
}

/* When none came to work with this configuration yet, the next would fail too; else one may be missed for a
 * moment. One that ends well, but unasked, is as bad. */
static void worker_ended(struct worker *w, int status)
{
	struct mservice *s = w->service;
	bool failed, at_start;

	hear_out(w);
	failed = s->master->state == MASTER_RUNNING &&
		 (status != 0 || (!w->told && w->state != WORKER_LEAVING));
	at_start = w->state == WORKER_STARTING && w->generation == s->master->generation && !s->proved;
	if (failed)
		log_end(w, status);
	worker_free(w);
	if (failed && at_start) {
		log_warning("%s: bad command startup -- throttling", s->file);
		service_block(s, s->master->settings->config->service_throttle_time * NS_PER_SEC);
	} else if (failed) {
		service_block(s, RESTART_PAUSE);
	}
	if (s->kept)
		service_fill(s);
}

static struct worker *find(struct master *m, pid_t pid)
{
	list_each(service, &m->services)
	{
		list_each(pos, &container_of(service, struct mservice, link)->workers)
		{
			struct worker *w = container_of(pos, struct worker, link);

			if (w->pid == pid)
				return w;
		}
	}
	return NULL;
}

/* As process 1 of a container we get the orphans of others too. */
void workers_reap(struct master *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct worker *w = find(m, pid);

		if (w)
			worker_ended(w, status);
	}
	services_sweep(m);
}

void workers_kill(struct master *m)
{
	list_each(service, &m->services)
	{
		list_each(pos, &container_of(service, struct mservice, link)->workers)
			kill(container_of(pos, struct worker, link)->pid, SIGKILL);
	}
}
