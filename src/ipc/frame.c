#include "ipc/frame.h"

#define PREFIX 4u /* the length field */

static void store(struct buf *b, size_t at, uint64_t v, size_t n)
{
	if (b->over)
		return;
	for (size_t i = 0; i < n; i++, v >>= 8)
		b->data[at + i] = (char)(unsigned char)v;
}

size_t frame_begin(struct buf *b, uint16_t type)
{
	size_t mark = b->len;

	buf_integer(b, 0, 4);
	buf_integer(b, type, 2);
	return mark;
}

void frame_end(struct buf *b, size_t mark)
{
	store(b, mark, b->len - mark - PREFIX, 4);
}

void frame_bytes(struct buf *b, uint8_t tag, struct str bytes)
{
	buf_integer(b, tag, 1);
	buf_integer(b, bytes.n, 4);
	buf_str(b, bytes);
}

void frame_text(struct buf *b, uint8_t tag, const char *text)
{
	if (text)
		frame_bytes(b, tag, str_c(text));
}

void frame_u64(struct buf *b, uint8_t tag, uint64_t v)
{
	buf_integer(b, tag, 1);
	buf_integer(b, sizeof(v), 4);
	buf_integer(b, v, sizeof(v));
}

size_t frame_open(struct buf *b, uint8_t tag)
{
	buf_integer(b, tag, 1);
	buf_integer(b, 0, 4);
	return b->len;
}

void frame_close(struct buf *b, size_t mark)
{
	store(b, mark - 4, b->len - mark, 4);
}

int frame_parse(struct str in, uint16_t *type, struct cursor *fields, size_t *used)
{
	struct cursor c = cursor_of(in.p, in.n);
	struct str body;
	uint32_t length;

	if (!cursor_u32(&c, &length))
		return 0;
	if (length < sizeof(*type) || length > FRAME_MAX)
		return -1;
	if (!cursor_bytes(&c, length, &body))
		return 0;
	*used = PREFIX + length;
	*fields = cursor_of(body.p, body.n);
	return cursor_u16(fields, type) ? 1 : -1;
}

bool frame_take_all(struct buf *in, bool (*take)(void *arg, uint16_t type, struct cursor fields), void *arg)
{
	size_t taken = 0, used;
	struct cursor fields;
	uint16_t type;
	int got;

	while ((got = frame_parse(str_from(buf_slice(in), taken), &type, &fields, &used)) == 1) {
		if (!take(arg, type, fields))
			return false;
		taken += used;
	}
	buf_remove(in, 0, taken);
	return got == 0;
}

bool frame_next(struct cursor *fields, struct frame_field *f)
{
	uint32_t length;

	if (fields->bad || fields->left == 0)
		return false;
	return cursor_u8(fields, &f->tag) && cursor_u32(fields, &length) &&
	       cursor_bytes(fields, length, &f->value);
}

uint64_t frame_field_u64(const struct frame_field *f)
{
	struct cursor c = cursor_of(f->value.p, f->value.n);
	uint64_t v = 0;

	return f->value.n == sizeof(v) && cursor_u64(&c, &v) ? v : 0;
}

const char *frame_field_text(struct pool *pool, const struct frame_field *f)
{
	return str_has_nul(f->value) ? NULL : pool_strndup(pool, f->value.p, f->value.n);
}
