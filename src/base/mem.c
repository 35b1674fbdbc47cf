#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

static void __attribute__((noreturn)) mem_exhausted(void)
{
	static const char text[] = "fatal: out of memory\n";

	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(1);
	_exit(1);
}

void *x_alloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		mem_exhausted();
	return p;
}

void *x_realloc(void *old, size_t size)
{
	void *p = realloc(old, size ? size : 1);

	if (!p)
		mem_exhausted();
	return p;
}

char *x_strdup(const char *s)
{
	return x_strndup(s, strlen(s));
}

char *x_strndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *p = x_alloc(len + 1);

	memcpy(p, s, len);
	return p;
}

char *x_asprintf(const char *fmt, ...)
{
	va_list ap;
	char *p;

	va_start(ap, fmt);
	if (vasprintf(&p, fmt, ap) < 0)
		mem_exhausted();
	va_end(ap);
	return p;
}

void x_free_ptr(void **p)
{
	free(*p);
	*p = NULL;
}

struct chunk {
	struct chunk *next;
	size_t size, used;
	_Alignas(max_align_t) unsigned char data[];
};

struct pool {
	struct chunk *chunks; /* the first one is being filled */
	size_t next_size;
};

#define POOL_CHUNK_MIN 256
#define POOL_CHUNK_MAX 65536
#define POOL_ALIGN _Alignof(max_align_t)

struct pool *pool_new(size_t first_chunk)
{
	struct pool *pool = x_alloc(sizeof(*pool));

	pool->next_size = first_chunk < POOL_CHUNK_MIN ? POOL_CHUNK_MIN : first_chunk;
	return pool;
}

/* The caller's pointer may lie in the pool itself: it is not touched once freeing has begun. */
void pool_free(struct pool **pool)
{
	struct pool *gone = *pool;

	*pool = NULL;
	if (!gone)
		return;
	for (struct chunk *c = gone->chunks, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	free(gone);
}

static struct chunk *chunk_new(size_t size)
{
	struct chunk *c = x_alloc(sizeof(*c) + size);

	c->size = size;
	return c;
}

/* A piece that would waste the chunk in use gets one of its own, behind it. */
static void *pool_alloc_large(struct pool *pool, size_t size)
{
	struct chunk *c = chunk_new(size);

	c->used = size;
	if (pool->chunks) {
		c->next = pool->chunks->next;
		pool->chunks->next = c;
	} else {
		pool->chunks = c;
	}
	return c->data;
}

/* With its head a chunk has a round size, which malloc has at hand. */
static void pool_grow(struct pool *pool)
{
	struct chunk *c = chunk_new(pool->next_size - sizeof(*c));

	c->next = pool->chunks;
	pool->chunks = c;
	if (pool->next_size < POOL_CHUNK_MAX)
		pool->next_size *= 2;
}

void *pool_alloc(struct pool *pool, size_t size)
{
	struct chunk *c = pool->chunks;
	void *p;

	if (size > SIZE_MAX / 2)
		mem_exhausted();
	size = (size + POOL_ALIGN - 1) & ~(POOL_ALIGN - 1);
	if (!c || c->size - c->used < size) {
		if (size > pool->next_size / 4)
			return pool_alloc_large(pool, size);
		pool_grow(pool);
		c = pool->chunks;
	}
	p = c->data + c->used;
	c->used += size;
	return p;
}

char *pool_strndup(struct pool *pool, const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *p = pool_alloc(pool, len + 1);

	memcpy(p, s, len);
	return p;
}

char *pool_strdup(struct pool *pool, const char *s)
{
	return s ? pool_strndup(pool, s, strlen(s)) : NULL;
}

char *pool_vprintf(struct pool *pool, const char *fmt, va_list ap)
{
	va_list again;
	char *p;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		mem_exhausted();
	p = pool_alloc(pool, (size_t)n + 1);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	return p;
}

char *pool_printf(struct pool *pool, const char *fmt, ...)
{
	va_list ap;
	char *p;

	va_start(ap, fmt);
	p = pool_vprintf(pool, fmt, ap);
	va_end(ap);
	return p;
}
