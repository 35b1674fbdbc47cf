#include <openssl/err.h>
#include <stdarg.h>

#include "tls/tls_internal.h"

void tls_library_said(struct err *err)
{
	const char *file = "", *data = "";
	char reason[256] = "";
	int line = 0, flags = 0;
	unsigned long code = ERR_get_error_all(&file, &line, NULL, &data, &flags);

	err->text[0] = '\0';
	if (code) {
		ERR_error_string_n(code, reason, sizeof(reason));
		err_set(err, "%s:%s:%d:%s", reason, file, line, flags & ERR_TXT_STRING ? data : "");
	}
	ERR_clear_error();
}

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
