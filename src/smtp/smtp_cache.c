#include "smtp/smtp_cache.h"

#include <pthread.h>

#include "smtp/smtp_session.h"

#define IDLE_MAX 1000		      /* sessions */
#define UNWATCHED_NS (NS_PER_SEC / 2) /* under load a session is wanted again at once */

struct smtp_cache {
	struct slots *slots;
	pthread_mutex_t lock; /* guards the rest; taken before the lock of the slots, never after */
	struct list idle;     /* newest first */
	size_t count;
	bool closed;
};

struct smtp_idle {
	struct task task;
	struct list link; /* unlinked: whoever unlinked it, or run, has the session */
	struct smtp_cache *cache;
	struct smtp_session *session;
	int64_t deadline;
	bool watched; /* by its descriptor too: before, only the time is waited for */
};

enum key_kind { BY_NEXTHOP, BY_ADDRESS };

struct smtp_cache *smtp_cache_new(struct slots *slots)
{
	struct smtp_cache *cache = x_alloc(sizeof(*cache));

	cache->slots = slots;
	pthread_mutex_init(&cache->lock, NULL);
	list_init(&cache->idle);
	return cache;
}

void smtp_cache_free(struct smtp_cache **cache)
{
	if (!*cache)
		return;
	pthread_mutex_destroy(&(*cache)->lock);
	x_free(cache);
}

static void unlink_idle(struct smtp_idle *idle)
{
	if (!list_empty(&idle->link))
		idle->cache->count--;
	list_remove(&idle->link);
}

static struct smtp_session *release(struct smtp_idle *idle)
{
	struct smtp_session *s = idle->session;

	s->idle = NULL;
	x_free(&idle);
	return s;
}

/* Lock held. */
static void park(struct smtp_idle *idle)
{
	int64_t soon = clock_mono() + UNWATCHED_NS;
	bool brief = !idle->watched && soon < idle->deadline;

	list_prepend(&idle->cache->idle, &idle->link);
	idle->cache->count++;
	slots_park(idle->cache->slots, &idle->task, brief ? -1 : stream_fd(idle->session->stream),
		brief ? soon : idle->deadline);
}

/* Lock held. The brief time is over: from now on what the server says counts as well. */
static bool watch(struct smtp_idle *idle, enum task_wake why)
{
	if (why != TASK_TIMEOUT || idle->watched || idle->cache->closed || clock_mono() >= idle->deadline)
		return false;
	idle->watched = true;
	park(idle);
	return true;
}

/* What the server says unasked is its farewell, or the connection's end. */
static void wake(struct task *task, struct slot *slot, enum task_wake why)
{
	struct smtp_idle *idle = container_of(task, struct smtp_idle, task);
	struct smtp_cache *cache = idle->cache;
	struct smtp_session *s;
	bool goes_on;

	pthread_mutex_lock(&cache->lock);
	unlink_idle(idle);
	goes_on = watch(idle, why);
	pthread_mutex_unlock(&cache->lock);
	if (goes_on)
		return;
	s = release(idle);
	s->failed = s->failed || why == TASK_READY;
	smtp_session_leave(&s);
}

static bool has_key(const struct smtp_session *s, enum key_kind kind, const char *key)
{
	const char *own = kind == BY_NEXTHOP ? s->nexthop_key : s->address_key;

	return own && strcmp(own, key) == 0;
}

/* The newest session with the key whose task did not wake up meanwhile. */
static struct smtp_session *take(struct smtp_cache *cache, enum key_kind kind, const char *key)
{
	struct smtp_session *found = NULL;

	pthread_mutex_lock(&cache->lock);
	list_each(at, &cache->idle)
	{
		struct smtp_idle *idle = container_of(at, struct smtp_idle, link);

		if (!has_key(idle->session, kind, key))
			continue;
		unlink_idle(idle);
		if (slots_unpark(cache->slots, &idle->task)) {
			found = release(idle);
			break;
		}
	}
	pthread_mutex_unlock(&cache->lock);
	return found;
}

static struct smtp_session *take_alive(struct smtp_cache *cache, enum key_kind kind, const char *key)
{
	struct smtp_session *s;

	while ((s = take(cache, kind, key)) && stream_wait(s->stream, 0))
		smtp_session_free(&s);
	return s;
}

struct smtp_session *smtp_cache_by_nexthop(struct smtp_cache *cache, const char *key)
{
	return take_alive(cache, BY_NEXTHOP, key);
}

struct smtp_session *smtp_cache_by_address(struct smtp_cache *cache, const char *key)
{
	return take_alive(cache, BY_ADDRESS, key);
}

void smtp_cache_keep(struct smtp_cache *cache, struct smtp_session *session, int64_t deadline)
{
	struct smtp_idle *idle;
	bool room;

	if (session->failed || stream_buffered(session->stream) > 0) {
		smtp_session_free(&session);
		return;
	}
	stream_relax(session->stream);
	idle = x_alloc(sizeof(*idle));
	*idle = (struct smtp_idle){
		.task.run = wake, .cache = cache, .session = session, .deadline = deadline};
	list_init(&idle->link);
	session->idle = idle;
	pthread_mutex_lock(&cache->lock);
	room = !cache->closed && cache->count < IDLE_MAX;
	if (room)
		park(idle);
	pthread_mutex_unlock(&cache->lock);
	if (!room) {
		session = release(idle);
		smtp_session_leave(&session);
	}
}

static struct smtp_idle *shift(struct smtp_cache *cache)
{
	struct smtp_idle *idle = NULL;

	pthread_mutex_lock(&cache->lock);
	cache->closed = true;
	while (!idle && !list_empty(&cache->idle)) {
		struct smtp_idle *first = container_of(cache->idle.next, struct smtp_idle, link);

		unlink_idle(first);
		if (slots_unpark(cache->slots, &first->task))
			idle = first;
	}
	pthread_mutex_unlock(&cache->lock);
	return idle;
}

void smtp_cache_close(struct smtp_cache *cache)
{
	struct smtp_idle *idle;

	while ((idle = shift(cache))) {
		struct smtp_session *s = release(idle);

		smtp_session_leave(&s);
	}
}
