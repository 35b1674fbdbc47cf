#include "ipc/submission.h"

#include "mail/address.h"

#define RECIPIENTS_MAX 1000000

enum { CONTENT_PIECE = 1 };
enum {
	SUBMIT_SENDER = 1,
	SUBMIT_FULL_NAME,
	SUBMIT_ENVID,
	SUBMIT_BODY,
	SUBMIT_VERP,
	SUBMIT_RET,
	SUBMIT_NOTIFY,
	SUBMIT_RECIPIENT,
	SUBMIT_FLAGS,
	SUBMIT_REMOTE
};
enum { ANSWER_ERROR = 1, ANSWER_QUEUE_ID };

void submission_content_encode(struct buf *out, struct str piece)
{
	size_t mark = frame_begin(out, FRAME_SUBMIT_CONTENT);

	frame_bytes(out, CONTENT_PIECE, piece);
	frame_end(out, mark);
}

bool submission_content_decode(struct cursor fields, struct str *piece)
{
	struct frame_field f;

	*piece = STR("");
	while (frame_next(&fields, &f)) {
		if (f.tag == CONTENT_PIECE)
			*piece = f.value;
	}
	return !fields.bad;
}

void submission_encode(struct buf *out, const struct submission *s)
{
	size_t mark = frame_begin(out, FRAME_SUBMIT_ENVELOPE);

	frame_text(out, SUBMIT_SENDER, s->sender);
	frame_text(out, SUBMIT_FULL_NAME, s->full_name);
	frame_text(out, SUBMIT_ENVID, s->envid);
	frame_text(out, SUBMIT_BODY, s->body);
	frame_text(out, SUBMIT_VERP, s->verp);
	frame_u64(out, SUBMIT_RET, s->ret);
	frame_u64(out, SUBMIT_NOTIFY, (uint64_t)s->notify);
	frame_u64(out, SUBMIT_FLAGS, (uint64_t)s->flags);
	frame_u64(out, SUBMIT_REMOTE, s->remote);
	for (size_t i = 0; i < s->recipient_count; i++)
		frame_text(out, SUBMIT_RECIPIENT, s->recipients[i]);
	frame_end(out, mark);
}

/* A line break in a field could become a line of a queue file, a header or a mailbox. */
static bool take_text(struct pool *pool, const struct frame_field *f, const char **out, struct err *err)
{
	if (str_has_control(f->value))
		return err_set(err, "control character in the envelope");
	*out = pool_strndup(pool, f->value.p, f->value.n);
	return true;
}

static bool take_address(struct pool *pool, const struct frame_field *f, const char **out, struct err *err)
{
	if (f->value.n > ADDRESS_MAX)
		return err_set(err, "address longer than %d bytes", ADDRESS_MAX);
	return take_text(pool, f, out, err);
}

/* The list is made for all recipients at once: their number is known when the fields were counted. */
static bool make_list(struct cursor fields, struct pool *pool, struct submission *s, struct err *err)
{
	struct frame_field f;
	size_t count = 0;

	while (frame_next(&fields, &f))
		count += f.tag == SUBMIT_RECIPIENT;
	if (fields.bad || count > RECIPIENTS_MAX)
		return err_set(err, "malformed envelope");
	s->recipients = pool_alloc(pool, (count + 1) * sizeof(*s->recipients));
	return true;
}

static bool take_field(struct pool *pool, const struct frame_field *f, struct submission *s, struct err *err)
{
	switch (f->tag) {
	case SUBMIT_SENDER:
		return take_address(pool, f, &s->sender, err);
	case SUBMIT_FULL_NAME:
		return take_text(pool, f, &s->full_name, err);
	case SUBMIT_ENVID:
		return take_text(pool, f, &s->envid, err);
	case SUBMIT_BODY:
		return take_text(pool, f, &s->body, err);
	case SUBMIT_VERP:
		return take_text(pool, f, &s->verp, err);
	case SUBMIT_RET:
		s->ret = (enum dsn_ret)frame_field_u64(f);
		return s->ret <= RET_HDRS || err_set(err, "malformed envelope");
	case SUBMIT_NOTIFY:
		s->notify = (int)(frame_field_u64(f) &
				  (NOTIFY_NEVER | NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY));
		return true;
	case SUBMIT_FLAGS:
		/* A probe that nobody is told of is not for users. */
		s->flags = (int)(frame_field_u64(f) & (ENVELOPE_REPORT | ENVELOPE_PROBE));
		return s->flags != ENVELOPE_PROBE || err_set(err, "malformed envelope");
	case SUBMIT_REMOTE:
		s->remote = frame_field_u64(f) != 0;
		return true;
	case SUBMIT_RECIPIENT:
		return take_address(pool, f, &s->recipients[s->recipient_count++], err);
	default:
		return true;
	}
}

bool submission_decode(struct cursor fields, struct pool *pool, struct submission *s, struct err *err)
{
	struct frame_field f;

	*s = (struct submission){.sender = ""};
	if (!make_list(fields, pool, s, err))
		return false;
	while (frame_next(&fields, &f)) {
		if (!take_field(pool, &f, s, err))
			return false;
	}
	return s->recipient_count > 0 || err_set(err, "no recipients specified");
}

void submission_answer_encode(struct buf *out, const struct submission_answer *a)
{
	size_t mark = frame_begin(out, FRAME_SUBMIT_ANSWER);

	frame_text(out, ANSWER_ERROR, a->error);
	frame_text(out, ANSWER_QUEUE_ID, a->queue_id);
	frame_end(out, mark);
}

bool submission_answer_decode(struct cursor fields, struct pool *pool, struct submission_answer *a)
{
	struct frame_field f;

	*a = (struct submission_answer){0};
	while (frame_next(&fields, &f)) {
		if (f.tag == ANSWER_ERROR)
			a->error = frame_field_text(pool, &f);
		if (f.tag == ANSWER_QUEUE_ID)
			a->queue_id = frame_field_text(pool, &f);
	}
	return !fields.bad && (a->error || a->queue_id);
}
