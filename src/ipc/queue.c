#include "ipc/queue.h"

enum { REQUEST_ID = 1, REQUEST_QUEUE, REQUEST_TEXT };

static bool take_id(const struct frame_field *f, struct queue_id *id)
{
	if (!queue_id_valid(f->value) || f->value.n >= sizeof(id->text))
		return false;
	memcpy(id->text, f->value.p, f->value.n);
	id->text[f->value.n] = '\0';
	return true;
}

static bool take_queue(const struct frame_field *f, enum spool_queue *q)
{
	uint64_t v = frame_field_u64(f);

	*q = (enum spool_queue)v;
	return v < QUEUE_COUNT;
}

static bool take_text(const struct frame_field *f, struct pool *pool, const char **out)
{
	*out = frame_field_text(pool, f);
	return *out != NULL;
}

static void put_id(struct buf *out, uint8_t tag, const struct queue_id *id)
{
	if (id->text[0])
		frame_text(out, tag, id->text);
}

void queue_request_encode(struct buf *out, const struct queue_request *r)
{
	size_t mark = frame_begin(out, r->type);

	put_id(out, REQUEST_ID, &r->id);
	frame_u64(out, REQUEST_QUEUE, r->queue);
	frame_text(out, REQUEST_TEXT, r->text);
	frame_end(out, mark);
}

bool queue_request_decode(uint16_t type, struct cursor fields, struct pool *pool, struct queue_request *r)
{
	struct frame_field f;

	*r = (struct queue_request){.type = type};
	while (frame_next(&fields, &f)) {
		if (f.tag == REQUEST_ID && !take_id(&f, &r->id))
			return false;
		if (f.tag == REQUEST_QUEUE && !take_queue(&f, &r->queue))
			return false;
		if (f.tag == REQUEST_TEXT && !take_text(&f, pool, &r->text))
			return false;
	}
	return !fields.bad;
}

enum {
	LISTED_ID = 1,
	LISTED_QUEUE,
	LISTED_ARRIVAL,
	LISTED_SIZE,
	LISTED_SENDER,
	LISTED_EXPIRED,
	LISTED_RECIPIENT
};
enum { RECIPIENT_ADDRESS = 1, RECIPIENT_REASON, RECIPIENT_IS_FAILED };

void queue_listed_fill(struct queue_listed *l, const struct envelope *e, struct pool *pool)
{
	l->arrival_us = e->arrival_us;
	l->size = e->content_size;
	l->sender = e->sender;
	l->expired = (e->flags & ENVELOPE_EXPIRED) != 0;
	l->recipients = pool_alloc(pool, (e->recipient_count + 1) * sizeof(*l->recipients));
	for (size_t i = 0; i < e->recipient_count; i++) {
		const struct spool_recipient *r = &e->recipients[i];

		if (r->state != RECIPIENT_DONE)
			l->recipients[l->recipient_count++] = (struct queue_listed_recipient){
				r->address, r->last ? r->last->reason : NULL, r->state == RECIPIENT_FAILED};
	}
}

static void put_recipient(struct buf *out, const struct queue_listed_recipient *r)
{
	size_t mark = frame_open(out, LISTED_RECIPIENT);

	frame_text(out, RECIPIENT_ADDRESS, r->address);
	frame_text(out, RECIPIENT_REASON, r->reason);
	frame_u64(out, RECIPIENT_IS_FAILED, r->failed);
	frame_close(out, mark);
}

void queue_listed_encode(struct buf *out, const struct queue_listed *l)
{
	size_t mark = frame_begin(out, FRAME_LISTED);

	put_id(out, LISTED_ID, &l->id);
	frame_u64(out, LISTED_QUEUE, l->queue);
	frame_u64(out, LISTED_ARRIVAL, (uint64_t)l->arrival_us);
	frame_u64(out, LISTED_SIZE, l->size);
	frame_text(out, LISTED_SENDER, l->sender);
	frame_u64(out, LISTED_EXPIRED, l->expired);
	for (size_t i = 0; i < l->recipient_count; i++)
		put_recipient(out, &l->recipients[i]);
	frame_end(out, mark);
}

static bool get_recipient(struct cursor fields, struct pool *pool, struct queue_listed_recipient *r)
{
	struct frame_field f;

	while (frame_next(&fields, &f)) {
		if (f.tag == RECIPIENT_ADDRESS && !take_text(&f, pool, &r->address))
			return false;
		if (f.tag == RECIPIENT_REASON && !take_text(&f, pool, &r->reason))
			return false;
		if (f.tag == RECIPIENT_IS_FAILED)
			r->failed = frame_field_u64(&f) != 0;
	}
	return !fields.bad && r->address;
}

static bool get_listed_field(const struct frame_field *f, struct pool *pool, struct queue_listed *l)
{
	switch (f->tag) {
	case LISTED_ID:
		return take_id(f, &l->id);
	case LISTED_QUEUE:
		return take_queue(f, &l->queue);
	case LISTED_ARRIVAL:
		l->arrival_us = (int64_t)frame_field_u64(f);
		return true;
	case LISTED_SIZE:
		l->size = frame_field_u64(f);
		return true;
	case LISTED_SENDER:
		return take_text(f, pool, &l->sender);
	case LISTED_EXPIRED:
		l->expired = frame_field_u64(f) != 0;
		return true;
	case LISTED_RECIPIENT:
		return get_recipient(
			cursor_of(f->value.p, f->value.n), pool, &l->recipients[l->recipient_count++]);
	default:
		return true;
	}
}

static size_t count_recipients(struct cursor fields)
{
	struct frame_field f;
	size_t n = 0;

	while (frame_next(&fields, &f))
		n += f.tag == LISTED_RECIPIENT;
	return n;
}

bool queue_listed_decode(struct cursor fields, struct pool *pool, struct queue_listed *l)
{
	struct frame_field f;

	*l = (struct queue_listed){0};
	l->recipients = pool_alloc(pool, (count_recipients(fields) + 1) * sizeof(*l->recipients));
	while (frame_next(&fields, &f))
		if (!get_listed_field(&f, pool, l))
			return false;
	return !fields.bad && l->id.text[0] && l->sender;
}
