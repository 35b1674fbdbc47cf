/* Taking up a changed configuration: asked for by the operator, or because the files changed. */
#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "master/master.h"

#define SETTLE_NS NS_PER_SEC /* editors and scripts write in several steps */

static bool may_replace(const struct settings *old, const struct settings *new, struct err *err)
{
	if (strcmp(old->config->queue_directory, new->config->queue_directory) != 0 ||
		strcmp(old->config->data_directory, new->config->data_directory) != 0)
		return err_set(err, "queue_directory and data_directory change only by stop and start");
	return startup_check(new->config, err);
}

static void take_up(struct master *m, struct settings *new)
{
	struct settings *old = m->settings;
	struct err err = {""};

	m->settings = new;
	m->generation++;
	if (!logfile_open(m, &err))
		log_error("%s", err.text);
	log_info("reload -- version %s, configuration %s", m->settings->config->mail_version, m->config_dir);
	services_apply(m, false, &err);
	settings_free(&old);
}

void master_reload(struct master *m, const char *why)
{
	struct err err = {""};
	struct settings *new = settings_load(m->config_dir, true, &err);

	if (new && !may_replace(m->settings, new, &err))
		settings_free(&new);
	if (!new) {
		log_error("%s; the configuration is not taken up", err.text);
		return;
	}
	if (why)
		log_info("%s", why);
	take_up(m, new);
}

/* The file's content decides: a rewrite of the same text is no change. A broken text is reported once. */
static void settled(void *arg)
{
	struct master *m = arg;
	uint64_t now = settings_fingerprint(m->config_dir);

	if (m->settings->config->config_watch && now && now != m->settings->fingerprint)
		master_reload(m, "the configuration changed");
}

static bool concerns_us(const struct inotify_event *e)
{
	return e->len > 0 && (strcmp(e->name, "main.cf") == 0 || strcmp(e->name, "master.cf") == 0);
}

static void files_changed(void *arg)
{
	struct master *m = arg;
	char room[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool ours = false;
	ssize_t n;

	while ((n = read(m->files.fd, room, sizeof room)) > 0) {
		for (char *p = room; p < room + n;) {
			const struct inotify_event *e = (const struct inotify_event *)(void *)p;

			ours = ours || concerns_us(e);
			p += sizeof *e + e->len;
		}
	}
	if (ours && m->state == MASTER_RUNNING)
		loop_timer(m->loop, &m->settle_timer, SETTLE_NS, settled, m);
}

/* The directory is watched, because files are replaced by renaming. */
bool watch_open(struct master *m, struct err *err)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0)
		return err_errno(err, "inotify_init1");
	if (inotify_add_watch(fd, m->config_dir, IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE) < 0) {
		err_errno(err, "watch %s", m->config_dir);
		sys_close(&fd);
		return false;
	}
	loop_watch(m->loop, &m->files, fd, files_changed, m);
	/* A change since the files were read is noticed too. */
	loop_timer(m->loop, &m->settle_timer, SETTLE_NS, settled, m);
	return true;
}
