#include "deliver/deliver.h"
#include <unistd.h>

static bool take_locks(const char *parameter, const char *value, int *locks, struct err *err)
{
	*locks = (str_lists(value, "fcntl") ? LOCK_FCNTL : 0) | (str_lists(value, "flock") ? LOCK_FLOCK : 0) |
		 (str_lists(value, "dotlock") ? LOCK_DOTLOCK : 0);
	return *locks != 0 || err_set(err, "parameter %s: no method", parameter);
}

bool deliver_settings_make(struct deliver_settings *out, const struct config *cfg, const char *lock_parameter,
	const char *locks, long long size_limit, struct err *err)
{
	*out = (struct deliver_settings){.cfg = cfg, .size_limit = size_limit};
	if (gethostname(out->host, sizeof(out->host) - 1) < 0 || !out->host[0])
		snprintf(out->host, sizeof(out->host), "localhost");
	for (char *p = out->host; *p; p++) {
		if (*p == '/' || *p == ':')
			*p = '_';
	}
	return take_locks(lock_parameter, locks, &out->locks, err);
}
