#include "smtp/smtp_edit.h"

#include "base/lines.h"
#include "mail/header_addresses.h"
#include "mail/mime.h"
#include "smtp/smtp_checks.h"
#include "smtp/smtp_generic.h"
#include "smtp/smtp_qp.h"

#define CRLF STR("\r\n")

struct smtp_edit {
	const struct smtp_client *client;
	const struct smtp_checks *checks; /* NULL: none */
	const char *qid;
	struct smtp_writer *out;
	struct smtp_writer plain; /* settings for what is not changed */
	struct lines lines;
	struct buf header, changed;
	struct mime *mime;	   /* NULL: nothing but the message's own header is of interest */
	bool convert;		   /* to 7-bit text */
	struct buf encoding_field; /* the present header's Content-Transfer-Encoding, if it may change */
	struct buf encoded;
	size_t column;	      /* of the encoded line */
	bool in_body, encode; /* the present entity's body */
	bool line_open;	      /* a part of the present line of a body was sent */
	bool mid_line;	      /* the next piece continues a line */
	bool passing;	      /* a header that is too long to be changed is being sent; its line end is not */
	bool done;	      /* nothing more can change */
	struct err *err;
	bool undecided; /* a table failed */
	bool refused;	/* the text cannot be made a 7-bit one */
};

/* Content counts as 8-bit text when its client said so, or when it says so itself. */
static bool must_convert(const struct smtp_session *s, const struct delivery_request *request)
{
	const struct config *cfg = s->client->cfg;
	const char *body = delivery_attribute(request, "body");

	if (s->features & FEATURE_8BITMIME || cfg->disable_mime_output_conversion)
		return false;
	return cfg->detect_8bit_encoding_header || (body && ascii_casecmp(body, "8BITMIME") == 0);
}

struct smtp_edit *smtp_edit_new(
	const struct smtp_session *s, const struct delivery_request *request, struct smtp_writer *out)
{
	const struct smtp_client *c = s->client;
	const struct mime_options options = {
		(int)c->cfg->mime_nesting_limit, (size_t)c->cfg->mime_boundary_length_limit};
	size_t header_max = (size_t)c->cfg->header_size_limit + LINES_PIECE;
	bool convert = must_convert(s, request);
	struct smtp_edit *e;

	if (!c->generic && !convert && !c->checks)
		return NULL;
	e = x_alloc(sizeof(*e));
	e->mime = convert || (c->checks && c->checks->deep) ? mime_new(&options) : NULL;
	e->convert = convert;
	e->checks = c->checks;
	e->qid = request->qid.text;
	e->encoding_field = BUF(header_max);
	e->encoded = BUF(SMTP_QP_GROWTH * (LINES_PIECE + LINES_CHUNK));
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
	mime_free(&(*e)->mime);
	buf_free(&(*e)->encoding_field);
	buf_free(&(*e)->encoded);
	lines_free(&(*e)->lines);
	buf_free(&(*e)->header);
	buf_free(&(*e)->changed);
	x_free(e);
}

static bool put(struct smtp_edit *e, struct str text)
{
	return smtp_writer_put(e->out, text);
}

static enum mime_section section(const struct smtp_edit *e)
{
	if (e->mime)
		return mime_section(e->mime);
	return e->in_body ? MIME_BODY : MIME_PRIMARY;
}

static bool change_addresses(struct smtp_edit *e, struct str *header)
{
	buf_clear(&e->changed);
	e->undecided = !smtp_generic_header(e->client, *header, &e->changed, e->err);
	if (e->changed.len)
		*header = buf_slice(&e->changed);
	return !e->undecided;
}

static bool is_8bit(enum mime_encoding encoding)
{
	return encoding == MIME_8BIT || encoding == MIME_BINARY;
}

/* A declared encoding that may change waits for the end of the header, when the type is known: true. */
static bool set_aside(struct smtp_edit *e, struct str name, struct str header)
{
	if (!e->convert || !str_case_is(name, "content-transfer-encoding") ||
		!is_8bit(mime_encoding(e->mime)))
		return false;
	buf_clear(&e->encoding_field);
	buf_str(&e->encoding_field, header);
	return true;
}

static bool put_header(struct smtp_edit *e, struct str header)
{
	struct str name = str_first(header, header_name_length(header));

	if (e->client->generic && section(e) == MIME_PRIMARY && header_addresses_kind(name) &&
		!change_addresses(e, &header))
		return false;
	return put(e, header) && put(e, CRLF);
}

/* Text of a rule: its lines, the last one without its end. */
static void add_lines(struct buf *out, struct str text)
{
	struct str line;

	while (str_word(&text, "\r\n", &line)) {
		if (out->len)
			buf_str(out, CRLF);
		buf_str(out, line);
	}
}

static bool put_text(struct smtp_edit *e, struct str text, bool header)
{
	struct buf lines = BUF(2 * TABLE_VALUE_MAX);
	bool ok;

	add_lines(&lines, text);
	ok = header ? put_header(e, buf_slice(&lines)) : put(e, buf_slice(&lines));
	buf_free(&lines);
	return ok;
}

static bool put_checked(struct smtp_edit *e, struct str header, const struct check_result *r)
{
	if (r->prepended.len && (!put_text(e, buf_slice(&r->prepended), false) || !put(e, CRLF)))
		return false;
	if (r->drop)
		return true;
	return r->replaced ? put_text(e, buf_slice(&r->replacement), true) : put_header(e, header);
}

/* own: the client made it. */
static bool check_header(struct smtp_edit *e, struct str header, bool own)
{
	struct check_result result;
	bool ok;

	if (!e->checks)
		return put_header(e, header);
	e->undecided = !smtp_checks_header(e->checks, e->qid, section(e), header, own, &result, e->err);
	ok = !e->undecided && put_checked(e, header, &result);
	check_result_free(&result);
	return ok;
}

static bool send_header(struct smtp_edit *e, struct str header)
{
	if (e->mime && !mime_header(e->mime, header) && e->convert) {
		e->refused = true;
		return err_set(e->err, "MIME nesting exceeds safety limit");
	}
	return set_aside(e, str_first(header, header_name_length(header)), header) ||
	       check_header(e, header, false);
}

/* Sends the header that has been collected. */
static bool flush_header(struct smtp_edit *e)
{
	bool ok = true;

	if (e->passing)
		ok = put(e, CRLF);
	else if (e->header.len)
		ok = send_header(e, buf_slice(&e->header));
	e->passing = false;
	buf_clear(&e->header);
	return ok;
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
	e->line_open = partial;
	return put(e, line) && (partial || put(e, CRLF));
}

/* A part of a line that is dropped leaves the line end to the others. */
static bool put_checked_line(struct smtp_edit *e, struct str line, bool partial, const struct check_result *r)
{
	if (r->prepended.len && (!put_text(e, buf_slice(&r->prepended), false) || !put(e, CRLF)))
		return false;
	if (r->replaced) {
		e->line_open = partial;
		return put_text(e, buf_slice(&r->replacement), false) && (partial || put(e, CRLF));
	}
	if (!r->drop)
		return put_line(e, line, partial);
	return partial || !e->line_open || put_line(e, STR(""), false);
}

static bool check_piece(struct smtp_edit *e, struct str line, bool partial)
{
	struct check_result result;
	bool ok;

	if (line.n == 0)
		return put_line(e, line, partial);
	e->undecided = !smtp_checks_body(e->checks, e->qid, line, &result, e->err);
	ok = !e->undecided && put_checked_line(e, line, partial, &result);
	check_result_free(&result);
	return ok;
}

static bool send_encoding(struct smtp_edit *e, enum mime_encoding now)
{
	char field[80];

	if (now != mime_encoding(e->mime)) {
		snprintf(field, sizeof(field), "Content-Transfer-Encoding: %s", mime_encoding_name(now));
		return check_header(e, str_c(field), true);
	}
	return e->encoding_field.len == 0 || !is_8bit(now) ||
	       check_header(e, buf_slice(&e->encoding_field), false);
}

static bool end_entity_header(struct smtp_edit *e, bool empty)
{
	enum mime_encoding now = e->convert ? mime_7bit_encoding(e->mime) : mime_encoding(e->mime), declared;

	if (!send_encoding(e, now))
		return false;
	buf_clear(&e->encoding_field);
	mime_end_header(e->mime, empty, &declared);
	e->encode = now != declared && now == MIME_QUOTED_PRINTABLE;
	if (e->encode)
		mime_opaque(e->mime);
	return true;
}

/* Whether what follows stays as it is, to the end. */
static bool nothing_left(const struct smtp_edit *e)
{
	if (section(e) != MIME_BODY || e->encode || (e->checks && !maps_empty(e->checks->body.maps)))
		return false;
	return !e->mime || !mime_has_parts(e->mime);
}

static bool end_header(struct smtp_edit *e, bool empty)
{
	if (e->mime && !end_entity_header(e, empty))
		return false;
	e->in_body = true;
	e->done = nothing_left(e);
	return !empty || put(e, CRLF);
}

/* Patterns see at most line_length_limit bytes at once. */
static bool check_line(struct smtp_edit *e, struct str line, bool partial)
{
	const size_t limit = (size_t)e->client->cfg->line_length_limit;

	if (!e->checks || maps_empty(e->checks->body.maps))
		return put_line(e, line, partial);
	for (; limit && line.n > limit; line = str_from(line, limit)) {
		if (!check_piece(e, str_first(line, limit), true))
			return false;
	}
	return check_piece(e, line, partial);
}

/* Soft line breaks are line ends for patterns. */
static bool check_encoded(struct smtp_edit *e, struct str text, bool partial)
{
	ptrdiff_t end;

	while ((end = str_find(text, '\n')) >= 0) {
		if (!check_line(e, str_first(text, (size_t)end - 1), false))
			return false;
		text = str_from(text, (size_t)end + 1);
	}
	return check_line(e, text, partial);
}

/* The boundary's line end, when it comes in a later piece, belongs to it as to a header that is too long. */
static bool boundary_line(struct smtp_edit *e, struct str line, bool partial)
{
	e->encode = false;
	e->passing = partial && section(e) != MIME_BODY;
	e->done = !partial && nothing_left(e);
	return check_line(e, line, partial);
}

static bool body_line(struct smtp_edit *e, struct str line, bool partial)
{
	if (e->mime && !e->mid_line && mime_boundary(e->mime, line))
		return boundary_line(e, line, partial);
	if (!e->encode)
		return check_line(e, line, partial);
	buf_clear(&e->encoded);
	smtp_qp_encode(line, !partial, &e->column, &e->encoded);
	return check_encoded(e, buf_slice(&e->encoded), partial);
}

/* Blanks before the colon (RFC 5322 section 4.5) go away, as they do on the way in. */
static void header_begin(struct smtp_edit *e, struct str line)
{
	buf_str(&e->header, str_first(line, header_name_length(line)));
	buf_str(&e->header, str_from(line, (size_t)str_find(line, ':')));
}

static bool header_line(struct smtp_edit *e, struct str line, bool partial)
{
	if (is_continuation(e, line))
		return header_add(e, line);
	if (!flush_header(e))
		return false;
	if (line.n == 0 && !partial)
		return end_header(e, true);
	if (header_name_length(line) == 0)
		return end_header(e, false) && body_line(e, line, partial);
	header_begin(e, line);
	return true;
}

static bool edit_line(struct smtp_edit *e, struct str line, bool partial)
{
	bool ok = section(e) == MIME_BODY ? body_line(e, line, partial) : header_line(e, line, partial);

	e->mid_line = partial;
	return ok;
}

/* Content may be nothing but a header. */
static bool end_content(struct smtp_edit *e)
{
	return section(e) == MIME_BODY || (flush_header(e) && end_header(e, false));
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
		if (!edit_line(e, line, result == LINES_PART))
			return false;
	}
	if (e->done)
		return pass_rest(e);
	return result != LINES_END || end_content(e);
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
	if (e->refused)
		return CONTENT_REFUSED;
	return e->undecided ? CONTENT_UNDECIDED : CONTENT_LOST;
}
