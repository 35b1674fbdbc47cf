/*
 * A growable byte buffer that demands its maximum at birth. Growing past the maximum drops the addition and
 * sets the sticky flag `over`; callers check it once at the end. The content is always followed by a NUL byte
 * that is not counted.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/str.h"
#include <stdarg.h>

struct buf {
	char *data; /* NULL until the first addition; use buf_cstr() for a C string */
	size_t len;
	size_t cap;
	size_t max; /* content bytes at most */
	bool over;
};

#define BUF(limit) ((struct buf){.max = (limit)})

void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b);				 /* releases the memory, keeps max */
void buf_clear(struct buf *b);				 /* empty again, memory kept, `over` cleared */
bool buf_add(struct buf *b, const void *data, size_t n); /* false when it would pass max */
bool buf_str(struct buf *b, struct str s);
bool buf_puts(struct buf *b, const char *s);
bool buf_putc(struct buf *b, char c);
bool buf_integer(struct buf *b, uint64_t v, size_t n); /* n <= 8 bytes, lowest first, as cursors read them */
bool buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void buf_truncate(struct buf *b, size_t len); /* to at most len bytes */
void buf_remove(struct buf *b, size_t start, size_t n);
char *buf_reserve(struct buf *b, size_t n); /* room for n more bytes, NULL past max; then buf_added */
void buf_added(struct buf *b, size_t n);
const char *buf_cstr(const struct buf *b); /* "" when empty; valid until the next change */
char *buf_take(struct buf *b);		   /* caller owns the C string; the buffer is empty again */
static inline struct str buf_slice(const struct buf *b)
{
	return (struct str){b->data ? b->data : "", b->len};
}

#endif
