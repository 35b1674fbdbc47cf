#include "qmgr/work.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sys.h"

struct workers {
	void *owner;
	int event_fd;
	struct list collecting; /* loop only: submitted in this turn */
	size_t collected;	/* loop only: jobs in `collecting` */
	size_t pending;		/* loop only */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t more;
	struct list todo, finished;
	size_t todo_count;
	int idle;
	bool one_by_one; /* the loop wakes the workers, see workers_flush() */
	bool stop;

	int threads;
	pthread_t ids[];
};

static struct work *work_of(struct list *node)
{
	return container_of(node, struct work, link);
}

/* Takes the next job, sleeping until there is one; NULL: end. Called with the lock held. */
static struct work *next_job(struct workers *w)
{
	while (list_empty(&w->todo) && !w->stop) {
		w->idle++;
		pthread_cond_wait(&w->more, &w->lock);
		w->idle--;
	}
	if (w->stop)
		return NULL;
	w->todo_count--;
	if (w->todo_count > 0 && w->idle > 0 && !w->one_by_one)
		pthread_cond_signal(&w->more);
	return work_of(list_shift(&w->todo));
}

static void ring(const struct workers *w)
{
	uint64_t one = 1;

	while (write(w->event_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void hand_back(struct workers *w, struct work *work)
{
	bool first;

	list_init(&work->link);
	pthread_mutex_lock(&w->lock);
	first = list_empty(&w->finished);
	list_append(&w->finished, &work->link);
	pthread_mutex_unlock(&w->lock);
	if (first)
		ring(w);
}

void work_emit(struct workers *w, struct work *work)
{
	work->extra = true;
	hand_back(w, work);
}

static void *worker_main(void *arg)
{
	struct workers *w = arg;
	struct work *work;

	for (;;) {
		pthread_mutex_lock(&w->lock);
		work = next_job(w);
		pthread_mutex_unlock(&w->lock);
		if (work == NULL)
			return NULL;
		work->run(work);
		hand_back(w, work);
	}
}

struct workers *workers_new(int threads, void *owner, struct err *err)
{
	struct workers *w = x_alloc(sizeof(*w) + (size_t)threads * sizeof(w->ids[0]));

	w->owner = owner;
	list_init(&w->collecting);
	list_init(&w->todo);
	list_init(&w->finished);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->more, NULL);
	w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (; w->threads < threads && w->event_fd >= 0; w->threads++)
		if ((errno = pthread_create(&w->ids[w->threads], NULL, worker_main, w)) != 0)
			break;
	if (w->threads == threads)
		return w;
	err_errno(err, "cannot start a worker thread");
	workers_free(&w);
	return NULL;
}

void workers_free(struct workers **pw)
{
	struct workers *w = *pw;

	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_broadcast(&w->more);
	pthread_mutex_unlock(&w->lock);
	for (int i = 0; i < w->threads; i++)
		pthread_join(w->ids[i], NULL);
	sys_close(&w->event_fd);
	pthread_cond_destroy(&w->more);
	pthread_mutex_destroy(&w->lock);
	x_free(pw);
}

int workers_fd(const struct workers *w)
{
	return w->event_fd;
}

void work_submit(struct workers *w, struct work *work)
{
	list_init(&work->link);
	list_append(&w->collecting, &work->link);
	w->collected++;
	w->pending++;
}

/* Appends all of `from` to `to` and leaves `from` empty. */
static void splice(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

void workers_flush(struct workers *w, bool one_by_one)
{
	bool wake;

	if (w->pending == 0)
		return;
	pthread_mutex_lock(&w->lock);
	splice(&w->todo, &w->collecting);
	w->todo_count += w->collected;
	w->one_by_one = one_by_one;
	wake = w->todo_count > 0 && w->idle > 0;
	pthread_mutex_unlock(&w->lock);
	w->collected = 0;
	if (wake)
		pthread_cond_signal(&w->more);
}

void workers_collect(struct workers *w)
{
	struct list ready;
	struct list *node;
	uint64_t count;

	while (read(w->event_fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	list_init(&ready);
	pthread_mutex_lock(&w->lock);
	splice(&ready, &w->finished);
	pthread_mutex_unlock(&w->lock);
	while ((node = list_shift(&ready)) != NULL) {
		if (!work_of(node)->extra)
			w->pending--;
		work_of(node)->done(work_of(node), w->owner);
	}
}

size_t workers_pending(const struct workers *w)
{
	return w->pending;
}
