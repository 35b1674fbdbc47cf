/* A table that could not be opened: its lookups fail with the reason, and from time to time it is tried
 * again. */
#include "base/clock.h"
#include "base/mem.h"
#include "table/table_outside.h"
#include "table/table_watch.h"
#include <pthread.h>

#define RETRY_INTERVAL (2 * NS_PER_SEC)

struct broken {
	char *spec;	      /* what to open; NULL: nothing that a retry could help */
	pthread_mutex_t lock; /* guards what follows */
	struct table_watch
		*watch; /* its file, which may come to be one that only a new process can open; or NULL */
	char *reason;
	struct table *opened; /* once set it stays */
	int64_t next_try;     /* clock_mono() */
};

static struct table *try_again(struct table *t)
{
	struct broken *b = t->state;
	struct err err = {""};
	struct table *opened;

	pthread_mutex_lock(&b->lock);
	if (!b->opened && b->spec && clock_mono() >= b->next_try) {
		b->next_try = clock_mono() + RETRY_INTERVAL;
		b->opened = table_open(b->spec, t->flags, &err);
		if (b->opened) {
			table_watch_free(&b->watch);
		} else {
			x_free(&b->reason);
			b->reason = x_strdup(err.text);
		}
	}
	opened = b->opened;
	pthread_mutex_unlock(&b->lock);
	return opened;
}

/* A file that only root may read may have come since we are in the jail. */
static enum table_status ask_outside(struct table *t, struct str key, struct buf *value, struct err *err)
{
	struct broken *b = t->state;
	bool forbidden = false;
	enum table_status status = table_outside_lookup(b->spec, t->flags, key, value, &forbidden, err);

	pthread_mutex_lock(&b->lock);
	if (forbidden && b->watch)
		table_watch_appeared(b->watch);
	pthread_mutex_unlock(&b->lock);
	return status;
}

static enum table_status broken_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	struct broken *b = t->state;
	struct table *opened;

	if (b->spec && table_outside_active())
		return ask_outside(t, key, value, err);
	opened = try_again(t);
	if (opened)
		return table_lookup(opened, key, value, err);
	pthread_mutex_lock(&b->lock);
	err_set(err, "%s is unavailable. %s", t->spec, b->reason);
	pthread_mutex_unlock(&b->lock);
	return TABLE_MISCONFIGURED;
}

static void broken_close(struct table *t)
{
	struct broken *b = t->state;

	table_close(&b->opened);
	table_watch_free(&b->watch);
	pthread_mutex_destroy(&b->lock);
	x_free(&b->spec);
	x_free(&b->reason);
	x_free(&t->state);
}

static const struct table_type type_broken = {
	.name = "broken", .lookup = broken_lookup, .close = broken_close};

/* Whether keys are patterns must be known before the table is. */
static bool spec_is_pattern(const char *spec)
{
	const struct table_type *type;
	ptrdiff_t colon;

	if (strncmp(spec, "proxy:", 6) == 0)
		spec += 6;
	colon = str_find(str_c(spec), ':');
	type = colon > 0 ? table_type_find(str_first(str_c(spec), (size_t)colon)) : NULL;
	return type && type->pattern;
}

struct table *table_open_or_wait(const char *spec, int flags)
{
	struct err err = {""};
	struct table_watch *watch = NULL;
	struct table *t = table_try(spec, flags, &watch, &err);

	return t ? t : table_broken(spec, spec, flags, watch, err.text);
}

struct table *table_broken(
	const char *label, const char *spec, int flags, struct table_watch *watch, const char *reason)
{
	struct table *t = table_new(&type_broken, label, flags);
	struct broken *b = x_alloc(sizeof(*b));

	pthread_mutex_init(&b->lock, NULL);
	b->watch = watch;
	b->reason = x_strdup(reason);
	b->next_try = clock_mono() + RETRY_INTERVAL;
	if (spec) {
		b->spec = x_strdup(spec);
		table_outside_allow(spec);
		table_unavailable(reason);
		t->pattern = spec_is_pattern(spec);
	}
	t->state = b;
	table_warn(t, "%s is unavailable. %s", label, reason);
	return t;
}
