/*
 * A queue manager that retires while agents still deliver for it keeps those messages, writes their ids into
 * a file of its own, private/qmgr.leaving.PID, and lets its successor begin. The successor leaves a message
 * alone as long as the file is locked and its id stands there; the id of each that is done with is blotted
 * out. So nothing is delivered twice, and no message waits for the slow delivery of another.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "ipc/queue.h"
#include "qmgr/qmgr.h"

#define PREFIX "qmgr.leaving."
#define DIRECTORY "private"
#define FLUSHES_MAX 128
#define LIST_MAX ((size_t)64 << 20)

/* ---- leaving */

static void list_ids(const struct qmgr *q, struct buf *out)
{
	buf_puts(out, "\n");
	list_each(node, &q->active)
	{
		struct message *m = container_of(node, struct message, link);

		m->listed_at = out->len;
		buf_printf(out, "%s\n", m->id.text);
	}
}

/* Who reads the list meanwhile sees a piece of the id, which is none. */
void handover_release(const struct qmgr *q, const struct message *m)
{
	char blot[sizeof(m->id.text)];
	size_t n = strlen(m->id.text);

	if (q->handover_fd < 0 || m->listed_at == 0)
		return;
	memset(blot, '-', n);
	if (!sys_pwrite_all(q->handover_fd, blot, n, (off_t)m->listed_at))
		log_warning("%s: cannot hand it over before we end: %s", m->id.text, strerror(errno));
}

bool handover_leave(struct qmgr *q, struct err *err)
{
	char *path = x_asprintf("%s/" PREFIX "%d", DIRECTORY, (int)getpid());
	struct buf ids = BUF(LIST_MAX);
	bool ok;

	list_ids(q, &ids);
	q->handover_fd = sys_lock_file(path, err);
	ok = q->handover_fd >= 0 &&
	     (sys_write_all(q->handover_fd, ids.data, ids.len) || err_errno(err, "write %s", path));
	buf_free(&ids);
	x_free(&path);
	if (ok)
		service_release_lock(q->service);
	return ok;
}

/* The successor finds it at the socket, which is master's; when the whole mail system stops, nobody does. */
static void pass_on(const struct qmgr *q, const struct queue_request *requests, size_t count)
{
	struct queue_notifier *n = queue_notifier_new(service_name(q->service));

	for (size_t i = 0; i < count; i++)
		queue_notifier_send(n, &requests[i]);
	queue_notifier_free(&n);
}

/* More than a few are the whole queue. */
void handover_flushes(struct qmgr *q)
{
	const struct queue_request all = {.type = FRAME_FLUSH};
	struct queue_request requests[FLUSHES_MAX];
	struct queue_id ids[FLUSHES_MAX];
	size_t count = known_urgent(&q->known, ids, FLUSHES_MAX);

	if (service_stopping(q->service))
		return;
	if (count > FLUSHES_MAX || q->flushing) {
		pass_on(q, &all, 1);
		return;
	}
	for (size_t i = 0; i < count; i++)
		requests[i] =
			(struct queue_request){.type = FRAME_NEW_MAIL, .queue = QUEUE_DEFERRED, .id = ids[i]};
	if (count > 0)
		pass_on(q, requests, count);
}

void handover_flush_site(struct qmgr *q, const char *site)
{
	const struct queue_request r = {.type = FRAME_FLUSH_SITE, .text = site};

	if (!service_stopping(q->service))
		pass_on(q, &r, 1);
}

/* ---- arriving */

/* Foreign messages are known, so that no scan or notification starts them here. */
static void keep_off(struct qmgr *q, struct str ids)
{
	struct str line;

	while (str_word(&ids, "\n", &line)) {
		struct queue_id id = {""};

		if (!queue_id_valid(line) || line.n >= sizeof(id.text))
			continue;
		memcpy(id.text, line.p, line.n);
		known_add_foreign(&q->known, &id);
	}
}

enum list_state { LIST_OVER, LIST_HELD, LIST_UNKNOWN };

static enum list_state read_list(struct qmgr *q, const char *path)
{
	struct buf ids = BUF(LIST_MAX);
	struct err err = {""};
	int fd = sys_lock_file(path, &err);
	bool ok;

	if (fd >= 0) {
		unlink(path);
		sys_close(&fd);
		return LIST_OVER;
	}
	ok = sys_read_file(path, &ids, &err);
	if (ok)
		keep_off(q, buf_slice(&ids));
	else
		log_warning("%s", err.text);
	buf_free(&ids);
	return ok ? LIST_HELD : LIST_UNKNOWN;
}

/* How many predecessors are still at work; false: not all of their lists could be read. */
static bool read_lists(struct qmgr *q, size_t *count)
{
	DIR *dir = opendir(DIRECTORY);
	struct dirent *entry;
	bool ok = dir != NULL;

	*count = 0;
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		enum list_state state;
		char *path;

		if (!str_starts(str_c(entry->d_name), STR(PREFIX)))
			continue;
		path = x_asprintf("%s/%s", DIRECTORY, entry->d_name);
		state = read_list(q, path);
		x_free(&path);
		*count += state != LIST_OVER;
		ok = ok && state != LIST_UNKNOWN;
	}
	if (dir != NULL)
		closedir(dir);
	return ok;
}

void handover_meet(struct qmgr *q)
{
	if (!read_lists(q, &q->leaving))
		log_warning("cannot read what other queue managers have in hand: %s", strerror(errno));
}

void handover_tick(struct qmgr *q)
{
	size_t before = q->leaving;

	if (before == 0)
		return;
	known_unlist_foreign(&q->known);
	if (!read_lists(q, &q->leaving)) {
		q->leaving = before;
		return;
	}
	intake_returned(q);
	if (q->leaving < before)
		intake_scan(q);
}
