#include "base/log.h"
#include "pickup/pickup.h"

#define IDS_AT_ONCE 1000

struct found {
	struct queue_id ids[IDS_AT_ONCE];
	size_t count;
};

static bool take_note(void *arg, enum spool_queue q, const struct queue_id *id)
{
	struct found *f = arg;

	f->ids[f->count++] = *id;
	return f->count < IDS_AT_ONCE;
}

static bool goes_on(const struct pickup_env *env, enum pickup_result last)
{
	return last != PICKUP_STOP && (!env->service || !service_retiring(env->service));
}

/* The names first: files are removed while we go. Rounds end when one took nothing away. */
void pickup_all(const struct pickup_env *env)
{
	struct found *f = x_alloc(sizeof(*f));
	struct err err = {""};
	size_t taken;
	enum pickup_result result = PICKUP_TAKEN;

	do {
		f->count = taken = 0;
		if (!spool_scan(env->spool, QUEUE_MAILDROP, take_note, f, &err)) {
			log_warning("maildrop: %s", err.text);
			break;
		}
		for (size_t i = 0; i < f->count && goes_on(env, result); i++) {
			result = pickup_message(env, &f->ids[i]);
			taken += result == PICKUP_TAKEN;
		}
	} while (f->count == IDS_AT_ONCE && taken > 0 && goes_on(env, result));
	x_free(&f);
}
