#include "deliver/deliver.h"
#include <unistd.h>

static int lock_bit(struct str word)
{
	static const struct {
		const char *name;
		int bit;
	} words[] = {{"fcntl", LOCK_FCNTL}, {"flock", LOCK_FLOCK}, {"dotlock", LOCK_DOTLOCK}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (str_is(word, words[i].name))
			return words[i].bit;
	}
	return 0;
}

static bool parse_locks(const char *parameter, const char *value, int *locks, struct err *err)
{
	struct str rest = str_c(value), word;

	*locks = 0;
	while (str_word(&rest, ", \t\r\n", &word)) {
		int bit = lock_bit(word);

		if (!bit)
			return err_set(err, "parameter %s: unknown method \"" STR_FMT "\"", parameter,
				STR_ARG(word));
		*locks |= bit;
	}
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
	return parse_locks(lock_parameter, locks, &out->locks, err);
}
