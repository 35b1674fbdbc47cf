#include "ipc/delivery.h"

/* Lists are nested fields of one tag: two walks, the first one counts. */
static size_t count_fields(struct cursor fields, uint8_t tag)
{
	struct frame_field f;
	size_t n = 0;

	while (frame_next(&fields, &f))
		n += f.tag == tag;
	return n;
}

static struct cursor nested(const struct frame_field *f)
{
	return cursor_of(f->value.p, f->value.n);
}

/* A text that holds a NUL makes the whole message invalid. */
static bool take_text(struct pool *pool, const struct frame_field *f, const char **out)
{
	*out = frame_field_text(pool, f);
	return *out != NULL;
}

static bool take_number(const struct frame_field *f, uint64_t max, uint64_t *out)
{
	*out = frame_field_u64(f);
	return f->value.n == sizeof(*out) && *out <= max;
}

/* ---- hello */
enum { HELLO_SLOTS = 1, HELLO_PID = 2 };

void agent_hello_encode(struct buf *out, const struct agent_hello *h)
{
	size_t mark = frame_begin(out, FRAME_AGENT_HELLO);

	frame_u64(out, HELLO_SLOTS, h->slots);
	frame_u64(out, HELLO_PID, h->pid);
	frame_end(out, mark);
}

bool agent_hello_decode(struct cursor fields, struct agent_hello *h)
{
	struct frame_field f;
	uint64_t v;

	*h = (struct agent_hello){0};
	while (frame_next(&fields, &f)) {
		if (f.tag != HELLO_SLOTS && f.tag != HELLO_PID)
			continue;
		if (!take_number(&f, UINT32_MAX, &v))
			return false;
		*(f.tag == HELLO_SLOTS ? &h->slots : &h->pid) = (uint32_t)v;
	}
	return !fields.bad;
}

/* ---- an outcome's value */
enum { DSN_ACTION = 1, DSN_STATUS, DSN_REASON, DSN_DIAG_TYPE, DSN_DIAG_TEXT, DSN_MTA_TYPE, DSN_MTA_NAME };

static void encode_dsn(struct buf *out, uint8_t tag, const struct dsn *d)
{
	size_t mark;

	if (!d)
		return;
	mark = frame_open(out, tag);
	frame_u64(out, DSN_ACTION, d->action);
	frame_text(out, DSN_STATUS, d->status);
	frame_text(out, DSN_REASON, d->reason);
	frame_text(out, DSN_DIAG_TYPE, d->diag_type);
	frame_text(out, DSN_DIAG_TEXT, d->diag_text);
	frame_text(out, DSN_MTA_TYPE, d->mta_type);
	frame_text(out, DSN_MTA_NAME, d->mta_name);
	frame_close(out, mark);
}

static bool take_status(const struct frame_field *f, struct dsn *d)
{
	if (f->value.n >= sizeof(d->status) || str_has_nul(f->value))
		return false;
	memcpy(d->status, f->value.p, f->value.n);
	d->status[f->value.n] = '\0';
	return true;
}

static bool decode_dsn_field(const struct frame_field *f, struct pool *pool, struct dsn *d)
{
	uint64_t v;

	switch (f->tag) {
	case DSN_ACTION:
		if (!take_number(f, DSN_EXPANDED, &v))
			return false;
		d->action = (enum dsn_action)v;
		return true;
	case DSN_STATUS:
		return take_status(f, d);
	case DSN_REASON:
		return take_text(pool, f, &d->reason);
	case DSN_DIAG_TYPE:
		return take_text(pool, f, &d->diag_type);
	case DSN_DIAG_TEXT:
		return take_text(pool, f, &d->diag_text);
	case DSN_MTA_TYPE:
		return take_text(pool, f, &d->mta_type);
	case DSN_MTA_NAME:
		return take_text(pool, f, &d->mta_name);
	default:
		return true;
	}
}

/* NULL: broken. */
static const struct dsn *decode_dsn(struct cursor fields, struct pool *pool)
{
	struct dsn *d = pool_alloc(pool, sizeof(*d));
	struct frame_field f;

	while (frame_next(&fields, &f))
		if (!decode_dsn_field(&f, pool, d))
			return NULL;
	return fields.bad ? NULL : d;
}

/* ---- request */
enum {
	REQUEST_ID = 1,
	REQUEST_QID,
	REQUEST_QUEUE,
	REQUEST_TRANSPORT,
	REQUEST_NEXTHOP,
	REQUEST_SENDER,
	REQUEST_ENVID,
	REQUEST_RET,
	REQUEST_FLAGS,
	REQUEST_SIZE,
	REQUEST_ARRIVAL,
	REQUEST_ACTIVE,
	REQUEST_TIME,
	REQUEST_FINAL,
	REQUEST_BUSY,
	REQUEST_ATTRIBUTE,
	REQUEST_RECIPIENT
};
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_VALUE };
enum { RECIPIENT_INDEX = 1, RECIPIENT_ADDRESS, RECIPIENT_ORIGINAL, RECIPIENT_ORCPT, RECIPIENT_NOTIFY };

static void encode_recipient(struct buf *out, const struct delivery_recipient *r)
{
	size_t mark = frame_open(out, REQUEST_RECIPIENT);

	frame_u64(out, RECIPIENT_INDEX, r->index);
	frame_text(out, RECIPIENT_ADDRESS, r->address);
	frame_text(out, RECIPIENT_ORIGINAL, r->original);
	frame_text(out, RECIPIENT_ORCPT, r->orcpt);
	frame_u64(out, RECIPIENT_NOTIFY, (uint64_t)r->notify);
	frame_close(out, mark);
}

const char *delivery_attribute(const struct delivery_request *r, const char *name)
{
	return spool_attribute_value(r->attributes, r->attribute_count, name);
}

static void encode_attribute(struct buf *out, const struct spool_attribute *a)
{
	size_t mark = frame_open(out, REQUEST_ATTRIBUTE);

	frame_text(out, ATTRIBUTE_NAME, a->name);
	frame_text(out, ATTRIBUTE_VALUE, a->value);
	frame_close(out, mark);
}

void delivery_request_encode(struct buf *out, const struct delivery_request *r)
{
	size_t mark = frame_begin(out, FRAME_DELIVER);

	frame_u64(out, REQUEST_ID, r->id);
	frame_text(out, REQUEST_QID, r->qid.text);
	frame_u64(out, REQUEST_QUEUE, r->queue);
	frame_text(out, REQUEST_TRANSPORT, r->transport);
	frame_text(out, REQUEST_NEXTHOP, r->nexthop);
	frame_text(out, REQUEST_SENDER, r->sender);
	frame_text(out, REQUEST_ENVID, r->envid);
	frame_u64(out, REQUEST_RET, r->ret);
	frame_u64(out, REQUEST_FLAGS, (uint32_t)r->flags);
	frame_u64(out, REQUEST_SIZE, r->content_size);
	frame_u64(out, REQUEST_ARRIVAL, (uint64_t)r->arrival_us);
	frame_u64(out, REQUEST_ACTIVE, (uint64_t)r->active_us);
	frame_u64(out, REQUEST_TIME, (uint64_t)r->request_us);
	frame_u64(out, REQUEST_FINAL, r->final_attempt);
	frame_u64(out, REQUEST_BUSY, r->busy_destination);
	for (size_t i = 0; i < r->attribute_count; i++)
		encode_attribute(out, &r->attributes[i]);
	for (size_t i = 0; i < r->recipient_count; i++)
		encode_recipient(out, &r->recipients[i]);
	frame_end(out, mark);
}

static bool decode_attribute(struct cursor fields, struct pool *pool, struct spool_attribute *a)
{
	struct frame_field f;

	while (frame_next(&fields, &f)) {
		if (f.tag == ATTRIBUTE_NAME && !take_text(pool, &f, &a->name))
			return false;
		if (f.tag == ATTRIBUTE_VALUE && !take_text(pool, &f, &a->value))
			return false;
	}
	return !fields.bad && a->name && a->value;
}

static bool decode_recipient_field(
	const struct frame_field *f, struct pool *pool, struct delivery_recipient *r)
{
	uint64_t v;

	switch (f->tag) {
	case RECIPIENT_INDEX:
		if (!take_number(f, UINT32_MAX, &v))
			return false;
		r->index = (uint32_t)v;
		return true;
	case RECIPIENT_ADDRESS:
		return take_text(pool, f, &r->address);
	case RECIPIENT_ORIGINAL:
		return take_text(pool, f, &r->original);
	case RECIPIENT_ORCPT:
		return take_text(pool, f, &r->orcpt);
	case RECIPIENT_NOTIFY:
		if (!take_number(f, INT32_MAX, &v))
			return false;
		r->notify = (int)v;
		return true;
	default:
		return true;
	}
}

static bool decode_recipient(struct cursor fields, struct pool *pool, struct delivery_recipient *r)
{
	struct frame_field f;

	while (frame_next(&fields, &f))
		if (!decode_recipient_field(&f, pool, r))
			return false;
	return !fields.bad && r->address;
}

static bool take_qid(const struct frame_field *f, struct queue_id *id)
{
	if (!queue_id_valid(f->value) || f->value.n >= sizeof(id->text))
		return false;
	memcpy(id->text, f->value.p, f->value.n);
	id->text[f->value.n] = '\0';
	return true;
}

static bool decode_request_text(const struct frame_field *f, struct pool *pool, struct delivery_request *r)
{
	switch (f->tag) {
	case REQUEST_QID:
		return take_qid(f, &r->qid);
	case REQUEST_TRANSPORT:
		return take_text(pool, f, &r->transport);
	case REQUEST_NEXTHOP:
		return take_text(pool, f, &r->nexthop);
	case REQUEST_SENDER:
		return take_text(pool, f, &r->sender);
	case REQUEST_ENVID:
		return take_text(pool, f, &r->envid);
	case REQUEST_ATTRIBUTE:
		return decode_attribute(nested(f), pool, &r->attributes[r->attribute_count++]);
	case REQUEST_RECIPIENT:
		return decode_recipient(nested(f), pool, &r->recipients[r->recipient_count++]);
	default:
		return true;
	}
}

static bool decode_request_number(const struct frame_field *f, struct delivery_request *r)
{
	static const struct {
		uint8_t tag;
		uint64_t max;
	} rows[] = {{REQUEST_ID, UINT64_MAX}, {REQUEST_QUEUE, QUEUE_COUNT - 1}, {REQUEST_RET, RET_HDRS},
		{REQUEST_FLAGS, UINT32_MAX}, {REQUEST_SIZE, INT64_MAX}, {REQUEST_ARRIVAL, INT64_MAX},
		{REQUEST_ACTIVE, INT64_MAX}, {REQUEST_TIME, INT64_MAX}, {REQUEST_FINAL, 1},
		{REQUEST_BUSY, 1}};
	uint64_t v = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].tag == f->tag && !take_number(f, rows[i].max, &v))
			return false;
	switch (f->tag) {
	case REQUEST_ID:
		r->id = v;
		break;
	case REQUEST_QUEUE:
		r->queue = (enum spool_queue)v;
		break;
	case REQUEST_RET:
		r->ret = (enum dsn_ret)v;
		break;
	case REQUEST_FLAGS:
		r->flags = (int)v;
		break;
	case REQUEST_SIZE:
		r->content_size = v;
		break;
	case REQUEST_ARRIVAL:
		r->arrival_us = (int64_t)v;
		break;
	case REQUEST_ACTIVE:
		r->active_us = (int64_t)v;
		break;
	case REQUEST_TIME:
		r->request_us = (int64_t)v;
		break;
	case REQUEST_FINAL:
		r->final_attempt = v != 0;
		break;
	case REQUEST_BUSY:
		r->busy_destination = v != 0;
		break;
	}
	return true;
}

static void make_lists(struct cursor fields, struct pool *pool, struct delivery_request *r)
{
	r->attributes =
		pool_alloc(pool, (count_fields(fields, REQUEST_ATTRIBUTE) + 1) * sizeof(*r->attributes));
	r->recipients =
		pool_alloc(pool, (count_fields(fields, REQUEST_RECIPIENT) + 1) * sizeof(*r->recipients));
}

bool delivery_request_decode(struct cursor fields, struct pool *pool, struct delivery_request *r)
{
	struct frame_field f;

	*r = (struct delivery_request){0};
	make_lists(fields, pool, r);
	while (frame_next(&fields, &f))
		if (!decode_request_text(&f, pool, r) || !decode_request_number(&f, r))
			return false;
	return !fields.bad && r->qid.text[0] && r->sender && r->transport;
}

/* ---- result */
enum { RESULT_ID = 1, RESULT_TROUBLE, RESULT_CORRUPT, RESULT_OUTCOME };
enum { OUTCOME_INDEX = 1, OUTCOME_DSN, OUTCOME_TRANSPORT, OUTCOME_NEXTHOP };

void delivery_result_encode(struct buf *out, const struct delivery_result *r)
{
	size_t mark = frame_begin(out, FRAME_RESULT);

	frame_u64(out, RESULT_ID, r->id);
	frame_u64(out, RESULT_CORRUPT, r->corrupt);
	encode_dsn(out, RESULT_TROUBLE, r->trouble);
	for (size_t i = 0; i < r->outcome_count; i++) {
		size_t inner = frame_open(out, RESULT_OUTCOME);

		frame_u64(out, OUTCOME_INDEX, r->outcomes[i].index);
		encode_dsn(out, OUTCOME_DSN, r->outcomes[i].dsn);
		frame_text(out, OUTCOME_TRANSPORT, r->outcomes[i].transport);
		frame_text(out, OUTCOME_NEXTHOP, r->outcomes[i].nexthop);
		frame_close(out, inner);
	}
	frame_end(out, mark);
}

static bool decode_outcome_field(const struct frame_field *f, struct pool *pool, struct delivery_outcome *o)
{
	uint64_t v;

	switch (f->tag) {
	case OUTCOME_DSN:
		o->dsn = decode_dsn(nested(f), pool);
		return o->dsn != NULL;
	case OUTCOME_INDEX:
		if (!take_number(f, UINT32_MAX, &v))
			return false;
		o->index = (uint32_t)v;
		return true;
	case OUTCOME_TRANSPORT:
		return take_text(pool, f, &o->transport);
	case OUTCOME_NEXTHOP:
		return take_text(pool, f, &o->nexthop);
	default:
		return true;
	}
}

static bool decode_outcome(struct cursor fields, struct pool *pool, struct delivery_outcome *o)
{
	struct frame_field f;

	while (frame_next(&fields, &f))
		if (!decode_outcome_field(&f, pool, o))
			return false;
	return !fields.bad && (o->dsn || (o->transport && o->nexthop));
}

static bool decode_result_field(const struct frame_field *f, struct pool *pool, struct delivery_result *r)
{
	uint64_t v;

	switch (f->tag) {
	case RESULT_ID:
		return take_number(f, UINT64_MAX, &r->id);
	case RESULT_TROUBLE:
		r->trouble = decode_dsn(nested(f), pool);
		return r->trouble != NULL;
	case RESULT_CORRUPT:
		if (!take_number(f, 1, &v))
			return false;
		r->corrupt = v != 0;
		return true;
	case RESULT_OUTCOME:
		return decode_outcome(nested(f), pool, &r->outcomes[r->outcome_count++]);
	default:
		return true;
	}
}

bool delivery_result_decode(struct cursor fields, struct pool *pool, struct delivery_result *r)
{
	struct frame_field f;

	*r = (struct delivery_result){0};
	r->outcomes = pool_alloc(pool, (count_fields(fields, RESULT_OUTCOME) + 1) * sizeof(*r->outcomes));
	while (frame_next(&fields, &f))
		if (!decode_result_field(&f, pool, r))
			return false;
	return !fields.bad;
}
