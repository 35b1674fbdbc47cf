#include "base/cursor.h"

struct cursor cursor_of(const void *data, size_t n)
{
	return (struct cursor){.p = data, .left = n};
}

static const unsigned char *cursor_take(struct cursor *c, size_t n)
{
	const unsigned char *p = c->p;

	if (c->bad || n > c->left) {
		c->bad = true;
		return NULL;
	}
	if (n)
		c->p += n;
	c->left -= n;
	return p;
}

static bool cursor_integer(struct cursor *c, size_t bytes, uint64_t *out)
{
	const unsigned char *p = cursor_take(c, bytes);

	if (!p)
		return false;
	*out = 0;
	for (size_t i = bytes; i-- > 0;)
		*out = *out << 8 | p[i];
	return true;
}

bool cursor_u8(struct cursor *c, uint8_t *out)
{
	uint64_t v;

	if (!cursor_integer(c, sizeof(*out), &v))
		return false;
	*out = (uint8_t)v;
	return true;
}

bool cursor_u16(struct cursor *c, uint16_t *out)
{
	uint64_t v;

	if (!cursor_integer(c, sizeof(*out), &v))
		return false;
	*out = (uint16_t)v;
	return true;
}

bool cursor_u32(struct cursor *c, uint32_t *out)
{
	uint64_t v;

	if (!cursor_integer(c, sizeof(*out), &v))
		return false;
	*out = (uint32_t)v;
	return true;
}

bool cursor_u64(struct cursor *c, uint64_t *out)
{
	return cursor_integer(c, sizeof(*out), out);
}

bool cursor_bytes(struct cursor *c, size_t n, struct str *out)
{
	const unsigned char *p = cursor_take(c, n);

	if (c->bad)
		return false;
	*out = (struct str){n ? (const char *)p : "", n};
	return true;
}

bool cursor_skip(struct cursor *c, size_t n)
{
	struct str ignored;

	return cursor_bytes(c, n, &ignored);
}

struct str cursor_rest(const struct cursor *c)
{
	if (c->bad || c->left == 0)
		return STR("");
	return (struct str){(const char *)c->p, c->left};
}
