#include "commands/postsuper_act.h"

#include "base/log.h"
#include "commands/command_log.h"
#include "commands/command_spool.h"

#define ASK_SECONDS 60
#define NOTICES_MAX 1000 /* beyond that the queue manager looks at everything once more */
#define FIND_ATTEMPTS 3

const char postsuper_letters[ACT_COUNT + 1] = "defhHr";

#define BIT(q) (1u << (q))

static unsigned default_queues(enum postsuper_act act)
{
	if (act == ACT_RELEASE)
		return BIT(QUEUE_HOLD);
	if (act == ACT_HOLD)
		return BIT(QUEUE_INCOMING) | BIT(QUEUE_ACTIVE) | BIT(QUEUE_DEFERRED);
	return BIT(QUEUE_HOLD) | BIT(QUEUE_INCOMING) | BIT(QUEUE_ACTIVE) | BIT(QUEUE_DEFERRED);
}

void postsuper_ask(struct postsuper *s, enum postsuper_act act)
{
	static const unsigned counters[ACT_COUNT] = {
		[ACT_DELETE] = BIT(COUNT_DELETED),
		[ACT_EXPIRE] = BIT(COUNT_EXPIRED),
		[ACT_EXPIRE_RELEASE] = BIT(COUNT_EXPIRED) | BIT(COUNT_RELEASED),
		[ACT_HOLD] = BIT(COUNT_HELD),
		[ACT_RELEASE] = BIT(COUNT_RELEASED),
		[ACT_REQUEUE] = BIT(COUNT_REQUEUED),
	};

	for (int i = 0; i < COUNTERS; i++)
		s->asked[i] = s->asked[i] || (counters[act] & BIT(i));
}

static void notice(struct postsuper *s, uint16_t type, const struct queue_id *id, enum spool_queue q)
{
	if (s->notice_count < NOTICES_MAX) {
		s->notices = x_realloc(s->notices, (s->notice_count + 1) * sizeof(*s->notices));
		s->notices[s->notice_count] = (struct queue_request){.type = type, .id = *id, .queue = q};
	}
	s->notice_count++;
}

static void done(
	struct postsuper *s, enum postsuper_counter counter, const struct queue_id *id, const char *what)
{
	s->counts[counter]++;
	if (!s->quiet)
		command_say(LOGL_INFO, "%s: %s", id->text, what);
	else if (log_is_open())
		log_info("%s: %s", id->text, what);
}

/* ---- acts: false with err */

static bool delete (struct postsuper *s, enum spool_queue q, const struct queue_id *id, struct err *err)
{
	if (!spool_remove(s->spool, q, id, err))
		return false;
	notice(s, FRAME_FORGET, id, q);
	done(s, COUNT_DELETED, id, "removed");
	return true;
}

static bool hold(struct postsuper *s, enum spool_queue q, const struct queue_id *id, struct err *err)
{
	if (q == QUEUE_HOLD)
		return true;
	if (!spool_move(s->spool, q, QUEUE_HOLD, id, err))
		return false;
	notice(s, FRAME_FORGET, id, q);
	done(s, COUNT_HELD, id, "placed on hold");
	return true;
}

static bool release(struct postsuper *s, enum spool_queue q, const struct queue_id *id, struct err *err)
{
	if (q != QUEUE_HOLD)
		return true;
	if (!spool_move(s->spool, q, QUEUE_DEFERRED, id, err))
		return false;
	notice(s, FRAME_FLUSH_ID, id, QUEUE_DEFERRED);
	done(s, COUNT_RELEASED, id, "released from hold");
	return true;
}

static bool expire(struct postsuper *s, enum spool_queue q, const struct queue_id *id, struct err *err)
{
	struct pool *pool = pool_new(4096);
	struct envelope *e;
	bool ok = spool_load(s->spool, q, id, pool, &e, err) == SPOOL_OK;

	if (ok && !(e->flags & ENVELOPE_EXPIRED)) {
		ok = spool_flag(s->spool, q, id, ENVELOPE_EXPIRED, err);
		if (ok)
			done(s, COUNT_EXPIRED, id, "expired");
	}
	pool_free(&pool);
	return ok;
}

static bool expire_release(
	struct postsuper *s, enum spool_queue q, const struct queue_id *id, struct err *err)
{
	return expire(s, q, id, err) && release(s, q, id, err);
}

/* Marked first: pickup must not take it for a message that a user submits. */
static bool requeue(struct postsuper *s, enum spool_queue q, const struct queue_id *id, struct err *err)
{
	if (!spool_flag(s->spool, q, id, ENVELOPE_REQUEUED, err) ||
		!spool_move(s->spool, q, QUEUE_MAILDROP, id, err))
		return false;
	notice(s, FRAME_FORGET, id, q);
	done(s, COUNT_REQUEUED, id, "requeued");
	return true;
}

static bool (*const acts[ACT_COUNT])(struct postsuper *s, enum spool_queue q, const struct queue_id *id,
	struct err *err) = {delete, expire, expire_release, hold, release, requeue};

/* ---- which messages */

static void collect_active(void *arg, const struct queue_listed *l)
{
	struct postsuper *s = arg;

	if (l->queue != QUEUE_ACTIVE)
		return;
	s->active = x_realloc(s->active, (s->active_count + 1) * sizeof(*s->active));
	s->active[s->active_count++] = l->id;
}

/* Active is a state in the queue manager's memory. Without it nothing is active. */
static void learn_active(struct postsuper *s)
{
	const struct queue_request list = {.type = FRAME_LIST};

	if (!s->active_known)
		queue_ask(s->queue_service, &list, ASK_SECONDS, collect_active, s, NULL);
	s->active_known = true;
}

static bool is_active(struct postsuper *s, const struct queue_id *id)
{
	learn_active(s);
	for (size_t i = 0; i < s->active_count; i++)
		if (strcmp(s->active[i].text, id->text) == 0)
			return true;
	return false;
}

static bool is_wanted(struct postsuper *s, enum spool_queue q, const struct queue_id *id, unsigned queues)
{
	if (queues & BIT(q))
		return true;
	return (queues & BIT(QUEUE_ACTIVE)) && (q == QUEUE_INCOMING || q == QUEUE_DEFERRED) &&
	       is_active(s, id);
}

/* The queue manager may move the message between our look and our act. */
static void act_on(struct postsuper *s, enum postsuper_act act, const struct queue_id *id, unsigned queues)
{
	struct err err = {""};
	enum spool_queue q;

	for (int i = 0; i < FIND_ATTEMPTS; i++)
		if (!spool_find(s->spool, id, &q) || !is_wanted(s, q, id, queues) ||
			acts[act](s, q, id, &err))
			return;
	command_say(LOGL_WARNING, "%s: %s", id->text, err.text);
}

void postsuper_one(struct postsuper *s, enum postsuper_act act, const char *text, unsigned queues)
{
	struct queue_id id;

	if (command_queue_id(text, &id))
		act_on(s, act, &id, queues ? queues : default_queues(act));
	else
		command_say(LOGL_WARNING, "invalid mail queue id: %s", text);
}

struct sweep {
	struct postsuper *postsuper;
	enum postsuper_act act;
};

static bool act_on_found(void *arg, enum spool_queue q, const struct queue_id *id)
{
	struct sweep *sweep = arg;
	struct err err = {""};

	if (!acts[sweep->act](sweep->postsuper, q, id, &err))
		act_on(sweep->postsuper, sweep->act, id, BIT(q));
	return true;
}

static void sweep_active(struct postsuper *s, enum postsuper_act act)
{
	learn_active(s);
	for (size_t i = 0; i < s->active_count; i++)
		act_on(s, act, &s->active[i], BIT(QUEUE_INCOMING) | BIT(QUEUE_DEFERRED));
}

void postsuper_all(struct postsuper *s, enum postsuper_act act, unsigned queues)
{
	const unsigned everywhere = BIT(QUEUE_INCOMING) | BIT(QUEUE_DEFERRED);
	struct sweep sweep = {s, act};
	struct err err = {""};

	s->quiet = true;
	queues = queues ? queues : default_queues(act);
	for (enum spool_queue q = QUEUE_MAILDROP; q < QUEUE_COUNT; q++)
		if ((queues & BIT(q)) && !spool_scan(s->spool, q, act_on_found, &sweep, &err))
			command_say(LOGL_WARNING, "%s", err.text);
	if ((queues & BIT(QUEUE_ACTIVE)) && (queues & everywhere) != everywhere)
		sweep_active(s, act);
	s->quiet = false;
}

/* ---- afterwards */

void postsuper_tell(struct postsuper *s)
{
	const struct queue_request scan = {.type = FRAME_SCAN};

	if (s->notice_count > NOTICES_MAX) {
		queue_ask(s->queue_service, &scan, ASK_SECONDS, NULL, NULL, NULL);
		return;
	}
	for (size_t i = 0; i < s->notice_count; i++)
		if (!queue_ask(s->queue_service, &s->notices[i], ASK_SECONDS, NULL, NULL, NULL))
			return;
}

void postsuper_report(const struct postsuper *s)
{
	static const char *const names[COUNTERS] = {
		"Requeued", "Deleted", "Force-expired", "Placed on hold", "Released from hold"};

	for (int i = 0; i < COUNTERS; i++)
		if (s->asked[i])
			command_say(LOGL_INFO, "%s: %zu message%s", names[i], s->counts[i],
				s->counts[i] == 1 ? "" : "s");
}

void postsuper_end(struct postsuper *s)
{
	spool_close(&s->spool);
	x_free(&s->notices);
	x_free(&s->active);
}
