#include "master/master.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "service/service.h"
#include "tls/tls_cache.h"

#define KILL_AFTER (SERVICE_STOP_GRACE + 3) /* seconds until what did not stop is killed */
#define STRESS_WARNING (1000 * NS_PER_SEC)
#define DESCRIPTORS_MAX 65536

static void stop_now(void *arg)
{
	struct master *m = arg;

	log_warning("processes did not stop within %d seconds and are killed", KILL_AFTER);
	workers_kill(m);
}

static void stop(struct master *m, int signal_number)
{
	if (m->state != MASTER_RUNNING)
		return;
	log_info("terminating on signal %d", signal_number);
	startup_notify("STOPPING=1");
	m->state = MASTER_STOPPING;
	services_stop(m, CHANNEL_STOP);
	loop_timer(m->loop, &m->stop_timer, KILL_AFTER * NS_PER_SEC, stop_now, m);
}

static void take_signal(struct master *m, int number)
{
	switch (number) {
	case SIGTERM:
	case SIGINT:
		stop(m, number);
		break;
	case SIGQUIT: /* first, or they would begin to end as after SIGTERM */
		workers_kill(m);
		stop(m, number);
		break;
	case SIGHUP:
		if (m->state == MASTER_RUNNING)
			master_reload(m, NULL);
		break;
	case SIGUSR1: {
		struct err err = {""};

		if (!logfile_open(m, &err))
			log_error("%s", err.text);
		break;
	}
	default:
		break;
	}
}

static void signals_ready(void *arg)
{
	struct master *m = arg;
	struct signalfd_siginfo info;

	while (read(m->signals.fd, &info, sizeof info) == (ssize_t)sizeof info) {
		if (info.ssi_signo != SIGCHLD)
			take_signal(m, (int)info.ssi_signo);
	}
	workers_reap(m);
}

/* Before the lock tells commands of us: what they send from then on waits until we can listen. */
static bool open_signals(struct master *m, struct err *err)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGCHLD, SIGUSR1};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		sigaddset(&set, numbers[i]);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	m->signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return m->signals.fd >= 0 || err_errno(err, "signalfd");
}

static void raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max < DESCRIPTORS_MAX ? limit.rlim_max : DESCRIPTORS_MAX;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void warn_stress(struct mservice *s)
{
	const struct config *cfg = s->master->settings->config;
	int limit = s->entry->maxproc < 0 ? cfg->default_process_limit : s->entry->maxproc;
	int64_t now = clock_mono();

	if (s->index < 0 || atomic_load(&s->master->shared->services[s->index].stressed_until) < now ||
		(s->warned_stress && now - s->warned_stress < STRESS_WARNING))
		return;
	s->warned_stress = now;
	log_warning("service \"%s\" has reached its process limit \"%d\": new clients may experience "
		    "noticeable delays",
		s->name, limit);
	log_warning("to avoid this condition, increase the process count in master.cf or reduce the service "
		    "time per client");
}

static bool turn_ticket_keys(struct master *m, struct err *err)
{
	return shared_turn_ticket_keys(
		m->shared, tls_cache_seconds(m->settings->config->smtpd_tls_session_cache_timeout), err);
}

static void look_around(void *arg)
{
	struct master *m = arg;
	struct err err = {""};

	if (!turn_ticket_keys(m, &err))
		log_warning("%s", err.text);
	list_each(pos, &m->services)
	{
		struct mservice *s = container_of(pos, struct mservice, link);

		if (s->kept && s->type == SERVICE_INET)
			warn_stress(s);
	}
	loop_timer(m->loop, &m->minute_timer, 2 * NS_PER_SEC, look_around, m);
}

static bool open_shared(struct master *m, struct err *err)
{
	m->shared_fd = shared_create(err);
	if (m->shared_fd < 0)
		return false;
	m->shared = shared_map(m->shared_fd, err);
	if (!m->shared)
		return false;
	atomic_store(&m->shared->started_us, clock_real());
	return turn_ticket_keys(m, err);
}

/* The lock is taken by the process that stays: it would not survive the fork of startup_detach. */
static bool prepare(struct master *m, struct err *err)
{
	m->settings = settings_load(m->config_dir, false, err);
	if (!m->settings || !startup_check(m->settings->config, err))
		return false;
	if (!startup_detach(m, err) || !open_signals(m, err) || !startup_locks(m, err) ||
		!logfile_open(m, err))
		return false;
	raise_limits();
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	m->loop = loop_new(err);
	if (!m->loop)
		return false;
	loop_watch(m->loop, &m->signals, m->signals.fd, signals_ready, m);
	return open_shared(m, err) && services_apply(m, true, err);
}

/* The one who starts us reads standard error, the operator reads the log. */
static void __attribute__((noreturn)) fail(const struct master *m, const struct err *err)
{
	if (m->log_fd >= 0 || m->lock_fds[1] >= 0)
		fprintf(stderr, "master: fatal: %s\n", err->text);
	log_fatal("%s", err->text);
}

static void run(struct master *m)
{
	struct err err = {""};

	startup_done(m);
	log_info("daemon started -- version %s, configuration %s", m->settings->config->mail_version,
		m->config_dir);
	if (!watch_open(m, &err))
		log_warning("%s: changes of the configuration are not noticed", err.text);
	look_around(m);
	while (m->state != MASTER_DONE) {
		loop_step(m->loop);
		if (m->state == MASTER_STOPPING && services_empty(m))
			m->state = MASTER_DONE;
	}
}

static void release(struct master *m)
{
	services_close(m);
	settings_free(&m->settings);
	sys_close(&m->signals.fd);
	sys_close(&m->files.fd);
	loop_free(&m->loop);
	for (int i = 0; i < 2; i++)
		sys_close(&m->lock_fds[i]);
	free(m->config_dir);
}

static void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr, "usage: master [-iv] -c config_directory\n");
	exit(1);
}

int main(int argc, char **argv)
{
	struct master m = {
		.shared_fd = -1, .log_fd = -1, .lock_fds = {-1, -1}, .starter_fd = -1, .files = {.fd = -1}};
	const char *config_dir = NULL;
	struct err err = {""};
	int c;

	list_init(&m.services);
	list_init(&m.listeners);
	while ((c = getopt(argc, argv, "c:iv")) != -1) {
		if (c == 'c')
			config_dir = optarg;
		else if (c == 'i')
			m.mode = MODE_FOREGROUND;
		else if (c == 'v')
			m.verbose++;
		else
			usage();
	}
	if (!config_dir || optind != argc)
		usage();
	/* We are going to work in the queue directory. */
	m.config_dir = realpath(config_dir, NULL);
	if (!m.config_dir)
		log_fatal("configuration directory: %s", strerror(errno));
	umask(022);
	if (!prepare(&m, &err))
		fail(&m, &err);
	run(&m);
	release(&m);
	return 0;
}
