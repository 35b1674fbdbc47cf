#include "smtp/smtp_edit.h"

#include "base/lines.h"
#include "mail/header_addresses.h"
#include "smtp/smtp_generic.h"

#define CRLF STR("\r\n")

struct smtp_edit {
	const struct smtp_client *client;
	struct smtp_writer *out;
	struct smtp_writer plain; /* settings for what is not changed */
	struct lines lines;
	struct buf header, changed;
	bool mid_line; /* the next piece continues a line */
	bool passing;  /* a header that is too long to be changed is being sent; its line end is not */
	bool done;     /* nothing more can change */
	struct err *err;
	bool undecided; /* a table failed */
};

struct smtp_edit *smtp_edit_new(const struct smtp_session *s, struct smtp_writer *out)
{
	const struct smtp_client *c = s->client;
	size_t header_max = (size_t)c->cfg->header_size_limit + LINES_PIECE;
	struct smtp_edit *e;

	if (!c->generic)
		return NULL;
	e = x_alloc(sizeof(*e));
	e->client = c;
	e->out = out;
	e->plain = *out;
	e->header = BUF(header_max);
	e->changed = BUF(header_max);
	lines_begin(&e->lines);
	out->dots = true;
	out->fold = out->limit > 0;
	return e;
}

void smtp_edit_free(struct smtp_edit **e)
{
	if (!*e)
		return;
	lines_free(&(*e)->lines);
	buf_free(&(*e)->header);
	buf_free(&(*e)->changed);
	x_free(e);
}

static bool put(struct smtp_edit *e, struct str text)
{
	return smtp_writer_put(e->out, text);
}

static bool change_header(struct smtp_edit *e, struct str *header)
{
	if (!header_has_addresses(str_first(*header, header_name_length(*header))))
		return true;
	buf_clear(&e->changed);
	e->undecided = !smtp_generic_header(e->client, *header, &e->changed, e->err);
	if (e->changed.len)
		*header = buf_slice(&e->changed);
	return !e->undecided;
}

/* Sends the header that has been collected. */
static bool flush_header(struct smtp_edit *e)
{
	struct str header = buf_slice(&e->header);

	if (header.n == 0 && !e->passing)
		return true;
	if (!e->passing && !change_header(e, &header))
		return false;
	if (!put(e, header) || !put(e, CRLF))
		return false;
	e->passing = false;
	buf_clear(&e->header);
	return true;
}

static bool header_add(struct smtp_edit *e, struct str text)
{
	bool begins_line = !e->mid_line && (e->header.len || e->passing);

	if (!e->passing && text.n + 2 > e->header.max - e->header.len) {
		e->passing = true;
		if (!put(e, buf_slice(&e->header)))
			return false;
		buf_clear(&e->header);
	}
	if (e->passing)
		return (!begins_line || put(e, CRLF)) && put(e, text);
	if (begins_line)
		buf_str(&e->header, CRLF);
	buf_str(&e->header, text);
	return true;
}

static bool is_continuation(const struct smtp_edit *e, struct str line)
{
	return e->mid_line ||
	       ((e->header.len || e->passing) && line.n && (line.p[0] == ' ' || line.p[0] == '\t'));
}

static bool put_line(struct smtp_edit *e, struct str line, bool partial)
{
	return put(e, line) && (partial || put(e, CRLF));
}

static bool header_line(struct smtp_edit *e, struct str line, bool partial)
{
	if (is_continuation(e, line))
		return header_add(e, line);
	if (!flush_header(e))
		return false;
	if (header_name_length(line) > 0)
		return header_add(e, line);
	e->done = true;
	return put_line(e, line, partial);
}

/* From here on the text is as cleanup(8) left it. */
static bool pass_rest(struct smtp_edit *e)
{
	struct str rest = str_from(buf_slice(&e->lines.ahead), e->lines.at);

	e->lines.at += rest.n;
	e->out->dots = e->plain.dots;
	e->out->fold = e->plain.fold;
	return put(e, rest);
}

static bool edit_lines(struct smtp_edit *e)
{
	enum lines_result result = LINES_WANT;
	struct str line;

	while (!e->done && (result = lines_next(&e->lines, &line)) != LINES_WANT && result != LINES_END) {
		if (!header_line(e, line, result == LINES_PART))
			return false;
		e->mid_line = result == LINES_PART;
	}
	if (e->done)
		return pass_rest(e);
	return result != LINES_END || flush_header(e);
}

enum content_end smtp_edit_feed(struct smtp_edit *e, struct str piece, struct err *err)
{
	bool ok;

	e->err = err;
	if (e->done) {
		ok = put(e, piece);
	} else {
		lines_feed(&e->lines, piece);
		ok = edit_lines(e);
	}
	if (ok)
		return CONTENT_SENT;
	return e->undecided ? CONTENT_UNDECIDED : CONTENT_LOST;
}
