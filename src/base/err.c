#include "base/err.h"

#include <errno.h>
#include <stdarg.h>

/* The arguments may lie in err->text itself, so the new text is made beside it. */
static void __attribute__((format(printf, 3, 0)))
err_compose(struct err *err, const char *tail, const char *fmt, va_list ap)
{
	struct err made;
	size_t n;

	vsnprintf(made.text, sizeof(made.text), fmt, ap);
	n = strlen(made.text);
	if (tail)
		snprintf(made.text + n, sizeof(made.text) - n, ": %s", tail);
	memcpy(err->text, made.text, strlen(made.text) + 1);
}

bool err_set(struct err *err, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return false;
	va_start(ap, fmt);
	err_compose(err, NULL, fmt, ap);
	va_end(ap);
	return false;
}

bool err_errno(struct err *err, const char *fmt, ...)
{
	char why[128];
	const char *reason = strerror_r(errno, why, sizeof(why));
	va_list ap;

	if (!err)
		return false;
	va_start(ap, fmt);
	err_compose(err, reason, fmt, ap);
	va_end(ap);
	return false;
}

bool err_prefix(struct err *err, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return false;
	va_start(ap, fmt);
	err_compose(err, err->text, fmt, ap);
	va_end(ap);
	return false;
}
