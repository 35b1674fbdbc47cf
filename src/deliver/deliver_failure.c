#include "deliver/deliver.h"
#include <errno.h>

/* What waiting can mend, and who is to be told what (RFC 3463). Errors that are not listed may go away: they
 * are deferred. */
static const struct {
	int error;
	enum dsn_action action;
	const char *status;
} meanings[] = {
	{EDQUOT, DSN_DELAYED, "4.2.2"},
	{ENOSPC, DSN_DELAYED, "4.3.1"},
	{EFBIG, DSN_FAILED, "5.2.2"},
	{EACCES, DSN_FAILED, "5.2.0"},
	{EPERM, DSN_FAILED, "5.2.0"},
	{ENOENT, DSN_FAILED, "5.2.0"},
	{ENOTDIR, DSN_FAILED, "5.2.0"},
	{EISDIR, DSN_FAILED, "5.2.0"},
	{ENAMETOOLONG, DSN_FAILED, "5.2.0"},
};

const struct dsn *deliver_failure(struct pool *pool, bool hosted, int error, const char *fmt, ...)
{
	enum dsn_action action = DSN_DELAYED;
	const char *status = "4.2.0";
	const char *text;
	char why[128];
	va_list ap;

	va_start(ap, fmt);
	text = pool_vprintf(pool, fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		if (meanings[i].error == error) {
			action = meanings[i].action;
			status = meanings[i].status;
		}
	}
	if (hosted && error != EFBIG && action == DSN_FAILED) {
		action = DSN_DELAYED;
		status = "4.2.0";
	}
	return dsn_make(pool, action, status, "%s: %s", text, strerror_r(error, why, sizeof(why)));
}
