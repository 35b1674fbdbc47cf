#include "local/local.h"
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

static bool parse_locks(const char *value, int *locks, struct err *err)
{
	struct str rest = str_c(value), word;

	*locks = 0;
	while (str_word(&rest, ", \t\r\n", &word)) {
		int bit = lock_bit(word);

		if (!bit)
			return err_set(err, "parameter mailbox_delivery_lock: unknown method \"" STR_FMT "\"",
				STR_ARG(word));
		*locks |= bit;
	}
	return *locks != 0 || err_set(err, "parameter mailbox_delivery_lock: no method");
}

static bool has_word(const char *value, const char *wanted)
{
	struct str rest = str_c(value), word;

	while (str_word(&rest, ", \t\r\n", &word)) {
		if (str_is(word, wanted))
			return true;
	}
	return false;
}

bool local_settings_make(struct local_settings *out, const struct config *cfg, struct err *err)
{
	*out = (struct local_settings){.cfg = cfg};
	if (gethostname(out->host, sizeof(out->host) - 1) < 0 || !out->host[0])
		snprintf(out->host, sizeof(out->host), "localhost");
	for (char *p = out->host; *p; p++) {
		if (*p == '/' || *p == ':')
			*p = '_';
	}
	out->delivered_header = has_word(cfg->prepend_delivered_header, "file");
	return parse_locks(cfg->mailbox_delivery_lock, &out->locks, err);
}
