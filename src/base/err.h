/* An error text that travels by value: libraries fill it, programs log it once. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

struct err {
	char text[400]; /* without trailing newline; empty: no error */
};

/* Returns false, so that `return err_set(e, ...)` reads well. err may be NULL. */
bool err_set(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool err_errno(struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3))); /* adds ": " and strerror(errno) */
bool err_prefix(struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3))); /* puts text and ": " before */

#endif
