#include "base/mem.h"
#include "cleanup/cleanup_private.h"
#include "mail/event.h"
#include "mail/header_addresses.h"

#define NAME_MAX_KEPT 100 /* longer field names are nobody's business here */

struct marked_header {
	const char *name;
	int seen;
};

static const struct marked_header marked_headers[] = {
	{"cc", SEEN_RECIPIENTS},
	{"date", SEEN_DATE},
	{"from", SEEN_FROM},
	{"message-id", SEEN_MESSAGE_ID},
	{"resent-bcc", SEEN_OTHER << SEEN_RESENT},
	{"resent-cc", SEEN_RECIPIENTS << SEEN_RESENT},
	{"resent-date", SEEN_DATE << SEEN_RESENT},
	{"resent-from", SEEN_FROM << SEEN_RESENT},
	{"resent-message-id", SEEN_MESSAGE_ID << SEEN_RESENT},
	{"resent-reply-to", SEEN_OTHER << SEEN_RESENT},
	{"resent-sender", SEEN_OTHER << SEEN_RESENT},
	{"resent-to", SEEN_RECIPIENTS << SEEN_RESENT},
	{"to", SEEN_RECIPIENTS},
};

static int header_mark(struct str name)
{
	for (size_t i = 0; i < sizeof(marked_headers) / sizeof(*marked_headers); i++) {
		if (str_is(name, marked_headers[i].name))
			return marked_headers[i].seen;
	}
	return 0;
}

static struct str header_value(struct cleanup *c, size_t name)
{
	struct str rest = str_from(buf_slice(&c->header), name);

	return str_trim(str_from(rest, (size_t)str_find(rest, ':') + 1));
}

/* As a string, without the bytes left_out. */
static const char *id_text(struct cleanup *c, struct str value, const char *left_out)
{
	char *out = pool_alloc(c->pool, value.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < value.n; i++) {
		if (!value.p[i])
			out[n++] = '?';
		else if (!strchr(left_out, value.p[i]))
			out[n++] = value.p[i];
	}
	return out;
}

void cleanup_log_id(struct cleanup *c, struct str value, bool resent)
{
	const char *shown = id_text(c, value, "\r");

	if (resent) {
		EVENT_LOG(RESENT_MESSAGE_ID, ev_text("qid", c->id.text), ev_text("message_id", shown));
		return;
	}
	EVENT_LOG(MESSAGE_ID, ev_text("qid", c->id.text), ev_text("message_id", shown));
	if (value.n && !c->id_logged)
		cleanup_note(c, "message_id", id_text(c, value, "\r\n"));
	c->id_logged = true;
}

void cleanup_log_no_id(struct cleanup *c)
{
	if (!c->id_logged)
		EVENT_LOG(MESSAGE_ID, ev_text("qid", c->id.text), ev_text("message_id", "<>"));
	c->id_logged = true;
}

static void note_header(struct cleanup *c, int mark, size_t name_length)
{
	if (mark == SEEN_MESSAGE_ID)
		cleanup_log_id(c, header_value(c, name_length), false);
	else if (mark == SEEN_MESSAGE_ID << SEEN_RESENT)
		cleanup_log_id(c, header_value(c, name_length), true);
	c->seen |= mark;
}

static bool rewrite_header(struct cleanup *c, struct str name)
{
	switch (header_addresses_kind(name)) {
	case HEADER_OF_SENDERS:
		return cleanup_rewrite_header(c, CLASS_HEADER_SENDER);
	case HEADER_OF_RECIPIENTS:
		return cleanup_rewrite_header(c, CLASS_HEADER_RECIPIENT);
	case HEADER_WITHOUT_ADDRESSES:
		break;
	}
	return true;
}

static bool count_hop(struct cleanup *c)
{
	if (++c->hops < c->env->cfg->hopcount_limit)
		return true;
	cleanup_complain(c, "message rejected: hopcount exceeded");
	return cleanup_fail(c, CLEANUP_HOPS, NULL, NULL);
}

/* What is known of the field: taken note of, or dropped (*drop). */
static bool inspect_header(struct cleanup *c, size_t name_length, bool *drop)
{
	char name[NAME_MAX_KEPT + 1];

	*drop = false;
	if (name_length > NAME_MAX_KEPT)
		return true;
	snprintf(name, sizeof(name), STR_FMT, (int)name_length, c->header.data);
	ascii_lower(name);
	if (strcmp(name, "received") == 0 && !count_hop(c))
		return false;
	*drop = hash_get(c->env->drop_headers, str_c(name)) != NULL;
	note_header(c, header_mark(str_c(name)), name_length);
	return rewrite_header(c, str_c(name));
}

static void note_encoding(struct cleanup *c)
{
	enum mime_encoding encoding;

	if (c->env->cfg->detect_8bit_encoding_header &&
		mime_declared_encoding(buf_slice(&c->header), &encoding) &&
		(encoding == MIME_8BIT || encoding == MIME_BINARY))
		cleanup_set_note(c, "body", "8BITMIME");
}

static bool is_blank(struct str text)
{
	return str_trim(text).n == 0;
}

/* What is behind header_size_limit is discarded, with the last line when that begins in the last tenth, or
 * would be left without text; a line end counts as one byte. */
static void cut_header(struct cleanup *c)
{
	const size_t limit = (size_t)c->env->cfg->header_size_limit;
	size_t counted = 0, at = 0, fold = 0, fold_counted = 0;

	if (c->header.len <= limit)
		return;
	for (; at < c->header.len && counted < limit; counted++) {
		bool folded = str_starts(str_from(buf_slice(&c->header), at), STR("\r\n"));

		if (folded) {
			fold = at;
			fold_counted = counted;
		}
		at += folded ? 2 : 1;
	}
	if (at == c->header.len)
		return;
	buf_truncate(&c->header, at);
	if (fold && (fold_counted >= limit * 9 / 10 || is_blank(str_from(buf_slice(&c->header), fold))))
		buf_truncate(&c->header, fold);
}

bool cleanup_header(struct cleanup *c)
{
	bool drop = false, ok = true;

	if (c->header.len == 0)
		return true;
	note_encoding(c);
	if (c->env->look_inside && !cleanup_is_trusted(&c->options))
		ok = cleanup_check_header(c, &drop);
	if (ok && !drop && !c->in_body)
		ok = inspect_header(c, header_name_length(buf_slice(&c->header)), &drop);
	if (ok && !drop) {
		c->own_headers += c->header_is_own;
		cut_header(c);
		ok = cleanup_write_lines(c, buf_slice(&c->header));
	}
	buf_clear(&c->header);
	return ok;
}
