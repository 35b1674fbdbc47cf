#include "mail/dsn.h"

#include "base/buf.h"
#include <ctype.h>

static const struct {
	const char *report, *log;
} action_names[] = {
	[DSN_NONE] = {"none", "undecided"},
	[DSN_FAILED] = {"failed", "bounced"},
	[DSN_DELAYED] = {"delayed", "deferred"},
	[DSN_DELIVERED] = {"delivered", "sent"},
	[DSN_RELAYED] = {"relayed", "sent"},
	[DSN_PASSED_ON] = {"relayed", "sent"},
	[DSN_EXPANDED] = {"expanded", "sent"},
};

const char *dsn_action_name(enum dsn_action a)
{
	return action_names[a].report;
}

const char *dsn_probe_status(enum dsn_action a)
{
	return a == DSN_FAILED || a == DSN_DELAYED || a == DSN_NONE ? "undeliverable" : "deliverable";
}

const char *dsn_log_status(const struct dsn *d)
{
	return d->softened ? "SOFTBOUNCE" : action_names[d->action].log;
}

/* A reason is one printable line, wherever its text came from. */
static void dsn_make_line(char *text)
{
	for (; *text; text++)
		if (iscntrl((unsigned char)*text))
			*text = ' ';
}

struct dsn *dsn_make(struct pool *pool, enum dsn_action action, const char *status, const char *fmt, ...)
{
	struct dsn *d = pool_alloc(pool, sizeof(*d));
	va_list ap;
	char *reason;

	d->action = action;
	snprintf(d->status, sizeof(d->status), "%s", status);
	va_start(ap, fmt);
	reason = pool_vprintf(pool, fmt, ap);
	va_end(ap);
	dsn_make_line(reason);
	d->reason = reason;
	return d;
}

struct dsn *dsn_copy(struct pool *pool, const struct dsn *d)
{
	struct dsn *copy = pool_alloc(pool, sizeof(*copy));

	*copy = *d;
	copy->reason = pool_strdup(pool, d->reason);
	copy->diag_type = pool_strdup(pool, d->diag_type);
	copy->diag_text = pool_strdup(pool, d->diag_text);
	copy->mta_type = pool_strdup(pool, d->mta_type);
	copy->mta_name = pool_strdup(pool, d->mta_name);
	return copy;
}

const struct dsn *dsn_soften(struct pool *pool, const struct dsn *d)
{
	struct dsn *soft;

	if (d->action != DSN_FAILED)
		return d;
	soft = dsn_copy(pool, d);
	soft->action = DSN_DELAYED;
	soft->softened = true;
	soft->status[0] = '4';
	return soft;
}

static size_t digits_at(struct str text, size_t start)
{
	size_t n = 0;

	while (start + n < text.n && isdigit((unsigned char)text.p[start + n]))
		n++;
	return n;
}

size_t dsn_status_length(struct str text)
{
	size_t subject, detail, end;

	if (text.n < 5 || !strchr("245", text.p[0]) || text.p[0] == '\0' || text.p[1] != '.')
		return 0;
	subject = digits_at(text, 2);
	if (subject < 1 || subject > 3 || 2 + subject >= text.n || text.p[2 + subject] != '.')
		return 0;
	detail = digits_at(text, 3 + subject);
	end = 3 + subject + detail;
	if (detail < 1 || detail > 3 || (end < text.n && !isspace((unsigned char)text.p[end])))
		return 0;
	return end;
}

static const struct {
	const char *word;
	int bit;
} notify_words[] = {
	{"NEVER", NOTIFY_NEVER},
	{"SUCCESS", NOTIFY_SUCCESS},
	{"FAILURE", NOTIFY_FAILURE},
	{"DELAY", NOTIFY_DELAY},
};

#define NOTIFY_WORDS (sizeof(notify_words) / sizeof(notify_words[0]))

static int notify_bit(struct str word)
{
	for (size_t i = 0; i < NOTIFY_WORDS; i++)
		if (str_case_is(word, notify_words[i].word))
			return notify_words[i].bit;
	return 0;
}

bool dsn_parse_notify(struct str text, int *bits)
{
	struct str word;
	int all = 0, bit;

	while (str_word(&text, ",", &word)) {
		bit = notify_bit(word);
		if (bit == 0)
			return false;
		all |= bit;
	}
	if (all == 0 || ((all & NOTIFY_NEVER) && all != NOTIFY_NEVER))
		return false;
	*bits = all;
	return true;
}

const char *dsn_format_notify(int bits, char out[32])
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < NOTIFY_WORDS; i++) {
		if (!(bits & notify_words[i].bit))
			continue;
		used += (size_t)snprintf(
			out + used, 32 - used, "%s%s", used ? "," : "", notify_words[i].word);
	}
	return out;
}
