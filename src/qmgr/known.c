#include "qmgr/known.h"

#include "base/mem.h"

static void free_message(void *value)
{
	x_free(&value);
}

void known_init(struct known *k)
{
	*k = (struct known){.by_id = hash_new(free_message)};
	list_init(&k->incoming);
	list_init(&k->foreign);
}

void known_free(struct known *k)
{
	hash_free(&k->by_id);
	heap_free(&k->deferred);
}

struct known_message *known_find(const struct known *k, const struct queue_id *id)
{
	return hash_get(k->by_id, str_c(id->text));
}

static struct known_message *add(struct known *k, enum spool_queue queue, const struct queue_id *id)
{
	struct known_message *m;

	if (known_find(k, id) != NULL)
		return NULL;
	m = x_alloc(sizeof(*m));
	m->id = *id;
	m->queue = (uint8_t)queue;
	hash_put(k->by_id, str_c(m->id.text), m);
	return m;
}

static void line_up(struct known *k, struct known_message *m)
{
	m->state = KNOWN_INCOMING;
	list_append(&k->incoming, &m->line);
	k->incoming_count++;
}

struct known_message *known_add_incoming(struct known *k, const struct queue_id *id)
{
	struct known_message *m = add(k, QUEUE_INCOMING, id);

	if (m != NULL)
		line_up(k, m);
	return m;
}

struct known_message *known_add_deferred(
	struct known *k, enum spool_queue queue, const struct queue_id *id, int64_t due_us)
{
	struct known_message *m = add(k, queue, id);

	if (m == NULL)
		return NULL;
	m->state = KNOWN_DEFERRED;
	heap_set(&k->deferred, &m->due, due_us);
	return m;
}

static struct known_message *in_line(struct list *node)
{
	return container_of(node, struct known_message, line);
}

void known_unlist_foreign(struct known *k)
{
	list_each(node, &k->foreign) in_line(node)->listed = false;
}

void known_add_foreign(struct known *k, const struct queue_id *id)
{
	struct known_message *m = known_find(k, id);

	if (m == NULL) {
		m = add(k, QUEUE_INCOMING, id);
		m->state = KNOWN_FOREIGN;
	} else if (m->state == KNOWN_FOREIGN) {
		list_remove(&m->line);
	} else {
		return;
	}
	m->listed = true;
	list_append(&k->foreign, &m->line);
}

/* The listed ones are behind the others. */
struct known_message *known_unlisted_foreign(const struct known *k)
{
	struct known_message *first = list_empty(&k->foreign) ? NULL : in_line(k->foreign.next);

	return first && !first->listed ? first : NULL;
}

size_t known_foreign(const struct known *k)
{
	size_t n = 0;

	list_each(node, &k->foreign) n++;
	return n;
}

static struct known_message *take_incoming(struct known *k)
{
	k->incoming_count--;
	return container_of(list_shift(&k->incoming), struct known_message, line);
}

static struct known_message *take_deferred(struct known *k)
{
	struct known_message *m = container_of(heap_first(&k->deferred), struct known_message, due);

	heap_remove(&k->deferred, &m->due);
	return m;
}

struct known_message *known_next(struct known *k, int64_t now_us)
{
	bool fresh = !list_empty(&k->incoming);
	bool due = known_next_due(k) <= now_us;
	struct known_message *m;

	if (!fresh && !due)
		return NULL;
	m = due && (!fresh || k->deferred_turn) ? take_deferred(k) : take_incoming(k);
	k->deferred_turn = m->state == KNOWN_INCOMING;
	m->state = KNOWN_ACTIVE;
	m->active = NULL;
	m->gone = m->again = false;
	return m;
}

int64_t known_next_due(const struct known *k)
{
	struct heap_entry *first = heap_first(&k->deferred);

	return first ? first->key : INT64_MAX;
}

/* Out of whatever line it waits in. */
static void detach(struct known *k, struct known_message *m)
{
	if (m->state == KNOWN_DEFERRED)
		heap_remove(&k->deferred, &m->due);
	if (m->state == KNOWN_INCOMING || m->state == KNOWN_FOREIGN)
		list_remove(&m->line);
	k->incoming_count -= m->state == KNOWN_INCOMING;
}

void known_defer(struct known *k, struct known_message *m, enum spool_queue queue, int64_t due_us)
{
	detach(k, m);
	m->state = KNOWN_DEFERRED;
	m->queue = (uint8_t)queue;
	m->due = (struct heap_entry){0};
	heap_set(&k->deferred, &m->due, due_us);
}

void known_drop(struct known *k, struct known_message *m)
{
	struct queue_id id = m->id;

	detach(k, m);
	hash_delete(k->by_id, str_c(id.text));
}

/* Keys only fall, and all to the same value: the order of a heap stays whole. */
void known_flush(struct known *k, int64_t now_us)
{
	for (size_t i = 0; i < k->deferred.count; i++) {
		container_of(k->deferred.slots[i], struct known_message, due)->urgent = true;
		if (k->deferred.slots[i]->key > now_us)
			k->deferred.slots[i]->key = now_us;
	}
}

size_t known_urgent(const struct known *k, struct queue_id *out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < k->deferred.count; i++) {
		const struct known_message *m = container_of(k->deferred.slots[i], struct known_message, due);

		if (m->urgent && n++ < max)
			out[n - 1] = m->id;
	}
	return n;
}
