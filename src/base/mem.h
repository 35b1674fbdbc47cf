/*
 * Memory. Running out of memory ends the process with a message; no caller checks for NULL.
 *
 * A pool is a scope: everything allocated from it is zeroed at birth and released by one call when its owner
 * (connection, transaction, message) ends. A pool is used by one thread at a time.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>

void *x_alloc(size_t size);		 /* zeroed; freed with x_free */
void *x_realloc(void *old, size_t size); /* new bytes are not zeroed */
char *x_strdup(const char *s);
char *x_strndup(const char *s, size_t n);
char *x_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void x_free_ptr(void **p);
#define x_free(pp) x_free_ptr((void **)(pp)) /* frees *pp and sets it to NULL */

struct pool;
struct pool *pool_new(size_t first_chunk); /* bytes; more chunks are added as needed */
void pool_free(struct pool **pool);	   /* *pool may be NULL; becomes NULL. It may lie in the pool */
void *pool_alloc(struct pool *pool, size_t size);    /* zeroed, aligned for any type */
char *pool_strdup(struct pool *pool, const char *s); /* NULL gives NULL */
char *pool_strndup(struct pool *pool, const char *s, size_t n);
char *pool_printf(struct pool *pool, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *pool_vprintf(struct pool *pool, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

#endif
