#include "base/mem.h"
#include "cleanup/cleanup_private.h"
#include "mail/event.h"

#define NAME_MAX_KEPT 100 /* longer field names are nobody's business here */

size_t cleanup_header_name(struct str line)
{
	size_t name = 0, end;

	while (name < line.n && line.p[name] > ' ' && line.p[name] < 127 && line.p[name] != ':')
		name++;
	end = name;
	while (end < line.n && (line.p[end] == ' ' || line.p[end] == '\t'))
		end++;
	return end < line.n && line.p[end] == ':' ? name : 0;
}

struct known_header {
	const char *name;
	int seen;
};

static const struct known_header known_headers[] = {
	{"from", SEEN_FROM},
	{"date", SEEN_DATE},
	{"message-id", SEEN_MESSAGE_ID},
	{"to", SEEN_RECIPIENTS},
	{"cc", SEEN_RECIPIENTS},
	{"bcc", SEEN_RECIPIENTS},
	{"resent-from", SEEN_FROM << SEEN_RESENT},
	{"resent-date", SEEN_DATE << SEEN_RESENT},
	{"resent-message-id", SEEN_MESSAGE_ID << SEEN_RESENT},
	{"resent-to", SEEN_RECIPIENTS << SEEN_RESENT},
	{"resent-cc", SEEN_RECIPIENTS << SEEN_RESENT},
	{"resent-bcc", SEEN_RECIPIENTS << SEEN_RESENT},
};

static int header_mark(struct str name)
{
	for (size_t i = 0; i < sizeof(known_headers) / sizeof(*known_headers); i++) {
		if (str_is(name, known_headers[i].name))
			return known_headers[i].seen;
	}
	return 0;
}

/* The value without folds: the first line of it that is not blank, trimmed. */
static struct str header_value(struct cleanup *c, size_t name)
{
	struct str rest = str_from(buf_slice(&c->header), name);

	return str_trim(str_from(rest, (size_t)str_find(rest, ':') + 1));
}

static char *unfold(struct pool *pool, struct str value)
{
	char *out = pool_alloc(pool, value.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] != '\r' && value.p[i] != '\n')
			out[n++] = value.p[i] ? value.p[i] : '?';
	}
	return out;
}

void cleanup_log_id(struct cleanup *c, struct str value, bool resent)
{
	const char *text = unfold(c->pool, value);

	if (resent) {
		EVENT_LOG(RESENT_MESSAGE_ID, ev_text("qid", c->id.text), ev_text("message_id", text));
		return;
	}
	EVENT_LOG(MESSAGE_ID, ev_text("qid", c->id.text), ev_text("message_id", text));
	cleanup_note(c, "message_id", text);
	c->id_logged = true;
}

static bool note_header(struct cleanup *c, struct str name, size_t name_length)
{
	int mark = header_mark(name);

	if (mark == SEEN_MESSAGE_ID && !c->id_logged)
		cleanup_log_id(c, header_value(c, name_length), false);
	else if (mark == SEEN_MESSAGE_ID << SEEN_RESENT && !(c->seen & mark))
		cleanup_log_id(c, header_value(c, name_length), true);
	c->seen |= mark;
	if (str_is(name, "received") && ++c->hops > c->env->cfg->hopcount_limit)
		return cleanup_fail(c, CLEANUP_HOPS, NULL, NULL);
	return true;
}

bool cleanup_header(struct cleanup *c)
{
	size_t name_length = cleanup_header_name(buf_slice(&c->header));
	char name[NAME_MAX_KEPT + 1];
	bool ok = true;

	if (c->header.len == 0)
		return true;
	snprintf(name, sizeof(name), STR_FMT, (int)name_length, c->header.data);
	ascii_lower(name);
	if (name_length <= NAME_MAX_KEPT)
		ok = note_header(c, str_c(name), name_length);
	if (ok && !hash_get(c->env->drop_headers, str_c(name)))
		ok = cleanup_write_lines(c, buf_slice(&c->header));
	buf_clear(&c->header);
	return ok;
}
