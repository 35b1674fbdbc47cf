#include "base/buf.h"

#include "base/mem.h"

#define BUF_CAP_MIN 64
#define PRINTF_ROOM 96

void buf_init(struct buf *b, size_t max)
{
	*b = BUF(max);
}

void buf_free(struct buf *b)
{
	x_free(&b->data);
	b->len = b->cap = 0;
	b->over = false;
}

static void buf_terminate(struct buf *b)
{
	if (b->data)
		b->data[b->len] = '\0';
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->over = false;
	buf_terminate(b);
}

static size_t next_cap(const struct buf *b, size_t need)
{
	size_t cap = b->cap ? b->cap : BUF_CAP_MIN;

	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	return cap > b->max && need <= b->max + 1 ? b->max + 1 : cap;
}

char *buf_reserve(struct buf *b, size_t n)
{
	if (n > b->max || b->len > b->max - n || b->len + n >= SIZE_MAX / 2) {
		b->over = true;
		return NULL;
	}
	if (b->len + n + 1 > b->cap) {
		b->cap = next_cap(b, b->len + n + 1);
		b->data = x_realloc(b->data, b->cap);
	}
	return b->data + b->len;
}

void buf_added(struct buf *b, size_t n)
{
	b->len += n;
	b->data[b->len] = '\0';
}

bool buf_add(struct buf *b, const void *data, size_t n)
{
	/* cap is max + 1 at most, so what fits is allowed */
	char *room = n < b->cap - b->len ? b->data + b->len : buf_reserve(b, n);

	if (!room)
		return false;
	if (n)
		memcpy(room, data, n);
	buf_added(b, n);
	return true;
}

bool buf_str(struct buf *b, struct str s)
{
	return buf_add(b, s.p, s.n);
}

bool buf_puts(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

bool buf_putc(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

bool buf_integer(struct buf *b, uint64_t v, size_t n)
{
	char bytes[sizeof(v)];

	for (size_t i = 0; i < n; i++, v >>= 8)
		bytes[i] = (char)(unsigned char)v;
	return buf_add(b, bytes, n);
}

/* Most texts fit into what is there already. */
bool buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	size_t left = b->len < b->max ? b->max - b->len : 0;
	size_t free_bytes;
	va_list again;
	char *room;
	int n;

	/* Most of what is printed is short: it shall not be printed twice. */
	if (b->cap - b->len <= PRINTF_ROOM)
		buf_reserve(b, left < PRINTF_ROOM ? left : PRINTF_ROOM);
	free_bytes = b->cap - b->len;
	va_copy(again, ap);
	n = vsnprintf(free_bytes ? b->data + b->len : NULL, free_bytes, fmt, ap);
	room = n < 0 ? NULL : buf_reserve(b, (size_t)n);
	if (room && (size_t)n >= free_bytes)
		vsnprintf(room, (size_t)n + 1, fmt, again);
	va_end(again);
	if (!room) {
		b->over = true;
		buf_terminate(b);
		return false;
	}
	buf_added(b, (size_t)n);
	return true;
}

bool buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	bool ok;

	va_start(ap, fmt);
	ok = buf_vprintf(b, fmt, ap);
	va_end(ap);
	return ok;
}

void buf_truncate(struct buf *b, size_t len)
{
	if (len >= b->len)
		return;
	b->len = len;
	b->data[len] = '\0';
}

void buf_remove(struct buf *b, size_t start, size_t n)
{
	if (start >= b->len)
		return;
	if (n > b->len - start)
		n = b->len - start;
	memmove(b->data + start, b->data + start + n, b->len - start - n);
	buf_truncate(b, b->len - n);
}

const char *buf_cstr(const struct buf *b)
{
	return b->data ? b->data : "";
}

char *buf_take(struct buf *b)
{
	char *p = b->data ? b->data : x_strdup("");

	*b = BUF(b->max);
	return p;
}
