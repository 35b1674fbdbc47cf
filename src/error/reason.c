#include "error/reason.h"

static char class_of(enum dsn_action action)
{
	switch (action) {
	case DSN_FAILED:
		return '5';
	case DSN_DELAYED:
		return '4';
	default:
		return '2';
	}
}

struct dsn *reason_make(struct pool *pool, enum dsn_action action, const char *nexthop, const char *otherwise)
{
	struct str text = str_trim(str_c(nexthop));
	size_t n = dsn_status_length(text);
	const char wanted = class_of(action);
	char status[12] = {wanted, '.', '0', '.', '0'};

	if (n > 0 && n < sizeof(status) && text.p[0] == wanted) {
		memcpy(status, text.p, n);
		status[n] = '\0';
	}
	text = str_trim(str_from(text, n));
	if (text.n == 0)
		text = str_c(otherwise);
	return dsn_make(pool, action, status, STR_FMT, STR_ARG(text));
}
