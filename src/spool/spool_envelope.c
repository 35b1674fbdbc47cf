/* The envelope and its updates as typed records: u16 type, u32 length, payload. Unknown types are skipped: a
 * later release may add facts. */
#include "spool/spool_private.h"

enum { ITEM_SUMMARY = 1, ITEM_SENDER = 2, ITEM_ENVID = 3, ITEM_ATTRIBUTE = 4, ITEM_RECIPIENT = 5 };

struct item {
	uint16_t type;
	struct cursor payload;
};

static size_t item_begin(struct buf *b, uint16_t type)
{
	spool_put_u16(b, type);
	spool_put_u32(b, 0);
	return b->len;
}

static void item_end(struct buf *b, size_t mark)
{
	uint32_t n = (uint32_t)(b->len - mark);

	if (b->over)
		return;
	for (size_t i = 0; i < 4; i++, n >>= 8)
		b->data[mark - 4 + i] = (char)n;
}

static bool item_next(struct cursor *c, struct item *item)
{
	uint32_t length;
	struct str body;

	if (c->left == 0)
		return false;
	if (!cursor_u16(c, &item->type) || !cursor_u32(c, &length) || !cursor_bytes(c, length, &body))
		return false;
	item->payload = cursor_of(body.p, body.n);
	return true;
}

static void put_text_item(struct buf *out, uint16_t type, const char *text)
{
	size_t mark = item_begin(out, type);

	spool_put_text(out, text);
	item_end(out, mark);
}

static void put_recipient(struct buf *out, const struct spool_recipient *r)
{
	size_t mark = item_begin(out, ITEM_RECIPIENT);

	spool_put_u8(out, (uint8_t)r->state);
	spool_put_u8(out, (uint8_t)r->notify);
	spool_put_text(out, r->address);
	spool_put_text(out, r->original);
	spool_put_text(out, r->orcpt);
	spool_put_dsn(out, r->last);
	item_end(out, mark);
}

static void put_attribute(struct buf *out, const struct spool_attribute *a)
{
	size_t mark = item_begin(out, ITEM_ATTRIBUTE);

	spool_put_text(out, a->name);
	spool_put_text(out, a->value);
	item_end(out, mark);
}

void spool_envelope_encode(const struct envelope *e, struct buf *out)
{
	size_t mark = item_begin(out, ITEM_SUMMARY);

	spool_put_u32(out, (uint32_t)e->flags);
	spool_put_u8(out, (uint8_t)e->ret);
	item_end(out, mark);
	put_text_item(out, ITEM_SENDER, e->sender ? e->sender : "");
	if (e->envid)
		put_text_item(out, ITEM_ENVID, e->envid);
	for (size_t i = 0; i < e->attribute_count; i++)
		put_attribute(out, &e->attributes[i]);
	for (size_t i = 0; i < e->recipient_count; i++)
		put_recipient(out, &e->recipients[i]);
}

/* First walk: the form, and how many of each. */
static bool count_items(struct cursor in, size_t *attributes, size_t *recipients)
{
	struct item item;

	*attributes = *recipients = 0;
	while (item_next(&in, &item)) {
		*attributes += item.type == ITEM_ATTRIBUTE;
		*recipients += item.type == ITEM_RECIPIENT;
	}
	return !in.bad;
}

static bool get_summary(struct cursor *c, struct envelope *e)
{
	uint32_t flags;
	uint8_t ret;

	if (!cursor_u32(c, &flags) || !cursor_u8(c, &ret) || ret > RET_HDRS)
		return false;
	e->flags = (int)flags;
	e->ret = (enum dsn_ret)ret;
	return true;
}

static bool get_recipient(struct cursor *c, struct pool *pool, struct spool_recipient *r)
{
	uint8_t state, notify;

	if (!cursor_u8(c, &state) || !cursor_u8(c, &notify) || state > RECIPIENT_FAILED)
		return false;
	r->state = (enum recipient_state)state;
	r->notify = notify;
	return spool_get_text(c, pool, &r->address) && r->address && spool_get_text(c, pool, &r->original) &&
	       spool_get_text(c, pool, &r->orcpt) && spool_get_dsn(c, pool, &r->last);
}

static bool get_attribute(struct cursor *c, struct pool *pool, struct spool_attribute *a)
{
	return spool_get_text(c, pool, &a->name) && a->name && spool_get_text(c, pool, &a->value) && a->value;
}

static bool get_item(struct item *item, struct pool *pool, struct envelope *e)
{
	switch (item->type) {
	case ITEM_SUMMARY:
		return get_summary(&item->payload, e);
	case ITEM_SENDER:
		return spool_get_text(&item->payload, pool, &e->sender) && e->sender;
	case ITEM_ENVID:
		return spool_get_text(&item->payload, pool, &e->envid);
	case ITEM_ATTRIBUTE:
		return get_attribute(&item->payload, pool, &e->attributes[e->attribute_count++]);
	case ITEM_RECIPIENT:
		return get_recipient(&item->payload, pool, &e->recipients[e->recipient_count++]);
	default:
		return true;
	}
}

bool spool_envelope_decode(struct cursor in, struct pool *pool, struct envelope *e, struct err *err)
{
	struct item item;
	size_t attributes, recipients;

	if (!count_items(in, &attributes, &recipients))
		return err_set(err, "envelope damaged");
	e->sender = NULL;
	e->envid = NULL;
	e->attribute_count = e->recipient_count = 0;
	e->attributes = pool_alloc(pool, (attributes + 1) * sizeof(*e->attributes));
	e->recipients = pool_alloc(pool, (recipients + 1) * sizeof(*e->recipients));
	while (item_next(&in, &item))
		if (!get_item(&item, pool, e))
			return err_set(err, "envelope record of type %u damaged", item.type);
	if (!e->sender)
		return err_set(err, "envelope without a sender");
	return true;
}

void spool_schedule_encode(const struct envelope *e, struct buf *out)
{
	size_t mark = spool_record_begin(out, RECORD_SCHEDULE);

	spool_put_u64(out, (uint64_t)e->next_attempt_us);
	spool_put_u32(out, e->attempts);
	spool_put_u64(out, (uint64_t)e->warned_us);
	spool_record_end(out, &e->id, mark);
}

static bool apply_schedule(struct cursor *c, struct envelope *e)
{
	uint64_t next, warned;

	if (!cursor_u64(c, &next) || !cursor_u32(c, &e->attempts) || !cursor_u64(c, &warned))
		return false;
	e->next_attempt_us = (int64_t)next;
	e->warned_us = (int64_t)warned;
	return true;
}

static bool apply_status(struct cursor *c, struct pool *pool, struct envelope *e)
{
	uint32_t index;
	uint8_t state;

	if (!cursor_u32(c, &index) || !cursor_u8(c, &state) || index >= e->recipient_count ||
		state > RECIPIENT_FAILED)
		return false;
	e->recipients[index].state = (enum recipient_state)state;
	return spool_get_dsn(c, pool, &e->recipients[index].last);
}

static bool apply_flags(struct cursor *c, struct envelope *e)
{
	uint32_t flags;

	if (!cursor_u32(c, &flags))
		return false;
	e->flags |= (int)flags;
	return true;
}

static bool apply(
	uint16_t type, struct cursor *payload, struct pool *pool, struct envelope *e, struct err *err)
{
	switch (type) {
	case RECORD_STATUS:
		return apply_status(payload, pool, e) || err_set(err, "recipient status damaged");
	case RECORD_SCHEDULE:
		return apply_schedule(payload, e) || err_set(err, "schedule damaged");
	case RECORD_FLAGS:
		return apply_flags(payload, e) || err_set(err, "flags damaged");
	case RECORD_ENVELOPE:
		return spool_envelope_decode(*payload, pool, e, err);
	default:
		return true;
	}
}

bool spool_updates_apply(
	struct cursor in, struct pool *pool, struct envelope *e, size_t *valid, struct err *err)
{
	size_t total = in.left;
	struct cursor payload;
	uint16_t type;

	while (spool_record_next(&in, &e->id, &type, &payload))
		if (!apply(type, &payload, pool, e, err))
			return false;
	*valid = total - in.left;
	return true;
}

const char *spool_attribute_value(const struct spool_attribute *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i].name, name) == 0)
			return list[i].value;
	return NULL;
}

const char *envelope_attribute(const struct envelope *e, const char *name)
{
	return spool_attribute_value(e->attributes, e->attribute_count, name);
}
