#include <openssl/err.h>
#include <stdarg.h>

#include "tls/tls_internal.h"

bool tls_error(struct err *err, const char *fmt, ...)
{
	unsigned long code = ERR_get_error();
	char text[sizeof(err->text)], reason[256] = "";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (code)
		ERR_error_string_n(code, reason, sizeof(reason));
	ERR_clear_error();
	return err_set(err, "%s%s%s", text, code ? ": " : "", reason);
}
