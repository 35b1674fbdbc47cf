/* The wakeup column of master.cf: a byte to the service's own socket, as a client would send it. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/net.h"
#include "base/sys.h"
#include "master/master.h"

static void wake_fifo(const char *name, const char *path)
{
	int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || write(fd, "W", 1) != 1)
		log_warning("wake up service %s: %s", name, strerror(errno));
	sys_close(&fd);
}

static void wake(const struct mservice *s, const char *path)
{
	struct err err = {""};

	if (s->type == SERVICE_FIFO)
		wake_fifo(s->name, path);
	else if (!net_trigger(path, &err))
		log_warning("service %s: %s", s->name, err.text);
}

static void wake_now(void *arg)
{
	struct mservice *s = arg;

	if (!s->entry->wakeup_if_used || !list_empty(&s->workers))
		wake(s, s->listeners[0]->path);
	wakeup_schedule(s, false);
}

void wakeup_schedule(struct mservice *s, bool first)
{
	loop_cancel(s->master->loop, &s->wakeup);
	if (!s->program->wants_wakeup || s->entry->wakeup <= 0 || s->type == SERVICE_INET ||
		s->listener_count == 0)
		return;
	loop_timer(s->master->loop, &s->wakeup, first ? 0 : s->entry->wakeup * NS_PER_SEC, wake_now, s);
}
