/* A message on display: milters see it as it will be stored, and their edits are gathered here. Only when all
 * have agreed is it written anew, and only if something changed. */
#include "base/mem.h"
#include "cleanup/cleanup_private.h"
#include "mail/address.h"
#include "mail/dsn_parameters.h"
#include "mail/event.h"
#include "mail/header_addresses.h"

#define PIECE 65536
#define AT_END "END-OF-MESSAGE"

struct shown_header {
	char *text; /* "Name: value", lines joined by CRLF */
	bool hidden;
};

struct display {
	struct cleanup *c;
	struct shown_header *headers;
	size_t count, cap;
	bool changed, edited_recipients;
	struct spool_writer *body; /* a new one; NULL: that of the message */
	struct buf line;	   /* of a new body, in progress */
	bool body_cr;		   /* the last byte of a new body was a CR */
};

/* ---- the headers as they are */

static void put_header(struct display *d, size_t at, char *text, bool hidden)
{
	if (d->count == d->cap) {
		d->cap = d->cap ? d->cap * 2 : 32;
		d->headers = x_realloc(d->headers, d->cap * sizeof(*d->headers));
	}
	memmove(d->headers + at + 1, d->headers + at, (d->count - at) * sizeof(*d->headers));
	d->headers[at] = (struct shown_header){text, hidden};
	d->count++;
	d->changed = true;
}

static void drop_header(struct display *d, size_t at)
{
	x_free(&d->headers[at].text);
	d->count--;
	memmove(d->headers + at, d->headers + at + 1, (d->count - at) * sizeof(*d->headers));
	d->changed = true;
}

static struct str header_name(const struct shown_header *h)
{
	return str_first(str_c(h->text), header_name_length(str_c(h->text)));
}

/* Ends where the next line does not go on with it. */
static size_t header_end(struct str text, size_t start)
{
	size_t at = start;

	while (at < text.n) {
		const char *end = memmem(text.p + at, text.n - at, "\r\n", 2);

		if (!end)
			return text.n;
		at = (size_t)(end - text.p) + 2;
		if (at >= text.n || (text.p[at] != ' ' && text.p[at] != '\t'))
			return at;
	}
	return at;
}

/* What the server itself said of the mail's arrival is nobody's to judge or to change. */
static bool is_own_received(const struct display *d, size_t index)
{
	return index < d->c->own_headers && str_case_is(header_name(&d->headers[index]), "Received");
}

static void split_headers(struct display *d, struct str text)
{
	bool found = false;

	for (size_t at = 0, end; at < text.n; at = end) {
		struct str header;

		end = header_end(text, at);
		header = str_first(str_from(text, at), end - at);
		if (str_ends(header, STR("\r\n")))
			header.n -= 2;
		if (header.n == 0)
			break;
		put_header(d, d->count, x_strndup(header.p, header.n), false);
		if (!found)
			found = d->headers[d->count - 1].hidden = is_own_received(d, d->count - 1);
	}
	d->changed = false;
}

static bool load_headers(struct display *d)
{
	const struct cleanup *c = d->c;
	uint64_t size = c->body_start ? c->body_start : spool_content_size(c->writer), at = 0;
	char *text = x_alloc((size_t)size + 1);
	ssize_t n = 0;

	while (at < size && (n = spool_written(c->writer, at, text + at, (size_t)(size - at))) > 0)
		at += (uint64_t)n;
	if (n >= 0)
		split_headers(d, (struct str){text, (size_t)at});
	x_free(&text);
	return n >= 0;
}

static bool show_header(void *arg, size_t index, struct str *name, struct str *value)
{
	const struct display *d = arg;

	for (size_t i = 0; i < d->count; i++) {
		if (d->headers[i].hidden || index-- > 0)
			continue;
		*name = header_name(&d->headers[i]);
		*value = str_from(str_c(d->headers[i].text), name->n);
		*value = str_from(*value, (size_t)str_find(*value, ':') + 1);
		return true;
	}
	return false;
}

static ssize_t show_body(void *arg, uint64_t offset, void *out, size_t n)
{
	const struct display *d = arg;
	const struct cleanup *c = d->c;

	if (d->body)
		return spool_written(d->body, offset, out, n);
	return c->body_start ? spool_written(c->writer, c->body_start + offset, out, n) : 0;
}

/* ---- edits of headers */

static bool is_field_name(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] >= 0x7f || name.p[i] == ':')
			return false;
	return name.n > 0;
}

/* Lines end in CRLF and go on with a blank: a filter adds one header at a time. */
static void add_value(struct buf *out, struct str value)
{
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];

		if (c == '\r')
			continue;
		if (c != '\n') {
			buf_putc(out, c);
			continue;
		}
		if (i + 1 == value.n)
			break;
		buf_puts(out, "\r\n");
		if (value.p[i + 1] != ' ' && value.p[i + 1] != '\t')
			buf_puts(out, "\t");
	}
}

/* The header as milter_header_checks leave it; NULL: there is none. What they put before it comes first. */
static char *checked(struct display *d, char *text, const char **prepended)
{
	struct check_outcome outcome = {0};
	struct cleanup *c = d->c;

	*prepended = NULL;
	if (maps_empty(c->env->milter_header_checks.maps) || c->unchecked)
		return text;
	if (!cleanup_check(c, &c->env->milter_header_checks, str_c(text), &outcome) || outcome.drop)
		x_free(&text);
	*prepended = outcome.prepended;
	if (text && outcome.replaced) {
		x_free(&text);
		text = x_strdup(buf_cstr(&c->replacement));
	}
	return text;
}

static bool place(struct display *d, size_t at, struct str name, struct str value)
{
	struct buf text = BUF(name.n + 3 * value.n + 16);
	const char *prepended;
	char *whole;

	if (!is_field_name(name)) {
		cleanup_complain(d->c, "milter: header with a bad name is left out");
		return true;
	}
	buf_str(&text, name);
	buf_putc(&text, ':');
	add_value(&text, value);
	whole = checked(d, buf_take(&text), &prepended);
	if (prepended)
		put_header(d, at++, x_strdup(prepended), false);
	if (whole)
		put_header(d, at, whole, false);
	return d->c->status == CLEANUP_OK;
}

static bool add_header(void *arg, struct str name, struct str value)
{
	struct display *d = arg;

	return place(d, d->count, name, value);
}

static bool insert_header(void *arg, size_t position, struct str name, struct str value)
{
	struct display *d = arg;

	return place(d, position < d->count ? position : d->count, name, value);
}

static bool change_header(void *arg, size_t index, struct str name, struct str value)
{
	struct display *d = arg;

	for (size_t i = 0; i < d->count; i++) {
		if (d->headers[i].hidden || !str_case_eq(header_name(&d->headers[i]), name))
			continue;
		if (index > 1) {
			index--;
			continue;
		}
		drop_header(d, i);
		return value.n == 0 || place(d, i, name, value);
	}
	return value.n == 0 || place(d, d->count, name, value);
}

/* ---- edits of the body */

static bool body_line(struct display *d, bool whole)
{
	bool ok;

	cleanup_note_line(d->c, buf_slice(&d->line), !whole);
	ok = spool_content(d->body, buf_slice(&d->line)) && (!whole || spool_content(d->body, STR("\r\n")));
	buf_clear(&d->line);
	return ok;
}

/* A CR that is not part of a line end becomes a blank, as everywhere. */
static bool body_byte(struct display *d, char c)
{
	bool after_cr = d->body_cr;

	d->body_cr = c == '\r';
	if (c == '\n')
		return body_line(d, true);
	if (after_cr)
		buf_putc(&d->line, ' ');
	if (c != '\r')
		buf_putc(&d->line, c);
	return d->line.len < PIECE || body_line(d, false);
}

static bool begin_body(struct display *d)
{
	struct err err;

	spool_abort(&d->body);
	buf_clear(&d->line);
	d->body_cr = false;
	d->c->line_length = 0;
	d->body = spool_create(d->c->env->spool, QUEUE_INCOMING, &err);
	return d->body != NULL;
}

static bool replace_body(void *arg, struct str piece, bool first)
{
	struct display *d = arg;
	const long long limit = d->c->env->cfg->message_size_limit;

	if (first && !begin_body(d))
		return false;
	d->changed = true;
	if (limit > 0 && spool_content_size(d->body) + piece.n > (uint64_t)limit + PIECE)
		return false;
	for (size_t i = 0; i < piece.n; i++)
		if (!body_byte(d, piece.p[i]))
			return false;
	return true;
}

/* ---- edits of the envelope */

static char *parse_address(struct display *d, struct str text)
{
	struct buf internal = BUF(ADDRESS_MAX + 1);
	struct err err = {""};
	char *address = NULL;

	if (!address_parse_path(&text, PATH_NULL_OK | PATH_UTF8, &internal, &err) || internal.over)
		cleanup_complain(d->c, "milter: bad address is left out: %s", err.text);
	else if (str_trim(text).n > 0)
		cleanup_complain(d->c, "milter: bad address is left out");
	else
		address = pool_strndup(d->c->pool, buf_cstr(&internal), internal.len);
	buf_free(&internal);
	return address;
}

static void ignored(struct display *d, struct str word)
{
	char shown[101];

	cleanup_complain(d->c, "ignoring ESMTP argument from Milter: \"%s\"",
		cleanup_shown(d->c, word, shown, sizeof(shown)));
}

/* Nothing remains of what is malformed. */
static bool take_recipient_option(struct str word, struct buf *orcpt, int *notify)
{
	bool good = false;

	if (str_case_starts(word, STR("NOTIFY="))) {
		good = dsn_parse_notify(str_from(word, 7), notify);
	} else if (str_case_starts(word, STR("ORCPT="))) {
		buf_clear(orcpt);
		good = dsn_parse_orcpt(str_from(word, 6), orcpt);
		if (!good)
			buf_clear(orcpt);
	}
	return good;
}

static bool add_recipient(void *arg, struct str address, struct str options)
{
	struct display *d = arg;
	const char *internal = parse_address(d, address);
	struct buf orcpt = BUF(2000);
	struct str word;
	int notify = 0;
	bool ok;

	if (!internal || !internal[0])
		return true;
	while (str_word(&options, " \t", &word))
		if (!take_recipient_option(word, &orcpt, &notify))
			ignored(d, word);
	ok = cleanup_extra_recipient(d->c, internal, orcpt.len ? buf_cstr(&orcpt) : NULL, notify);
	buf_free(&orcpt);
	return ok;
}

static bool delete_recipient(void *arg, struct str address)
{
	struct display *d = arg;
	const char *internal = parse_address(d, address);

	if (internal && cleanup_remove_recipient(d->c, internal) > 0)
		d->edited_recipients = true;
	return true;
}

static bool take_sender_option(struct display *d, struct str word)
{
	struct envelope *e = &d->c->envelope;
	struct buf envid = BUF(2000);
	bool good = false;

	if (str_case_starts(word, STR("RET="))) {
		good = dsn_parse_ret(str_from(word, 4), &e->ret);
	} else if (str_case_starts(word, STR("ENVID="))) {
		good = dsn_parse_envid(str_from(word, 6), &envid);
		if (good)
			e->envid = pool_strdup(d->c->pool, buf_cstr(&envid));
	}
	buf_free(&envid);
	return good;
}

static bool change_sender(void *arg, struct str address, struct str options)
{
	struct display *d = arg;
	struct envelope *e = &d->c->envelope;
	const char *internal = parse_address(d, address);
	struct str word;

	if (!internal)
		return true;
	cleanup_sender(d->c, internal, e->envid, e->ret, 0);
	while (str_word(&options, " \t", &word))
		if (!take_sender_option(d, word))
			ignored(d, word);
	return d->c->status == CLEANUP_OK;
}

/* ---- decisions */

void cleanup_log_milter(struct cleanup *c, const char *action, const char *where, const char *text)
{
	const struct envelope *e = &c->envelope;

	EVENT_LOG(MILTER_CONTENT, ev_text("qid", c->id.text), ev_text("action", action),
		ev_text("where", where), ev_text("client", c->options.client), ev_text("text", text),
		ev_address("from", e->sender), ev_address("to", c->last_recipient),
		ev_text("proto", envelope_attribute(e, "protocol_name")),
		ev_text("helo", envelope_attribute(e, "helo_name")));
}

static bool hold_message(struct cleanup *c, const char *where)
{
	if (c->options.queue == QUEUE_HOLD)
		return true;
	cleanup_log_milter(c, "milter-hold", where, "milter triggers HOLD action");
	cleanup_hold(c);
	return c->status == CLEANUP_OK;
}

static bool hold(void *arg, struct str reason)
{
	struct display *d = arg;

	return hold_message(d->c, AT_END);
}

static void discard(struct cleanup *c, const char *where)
{
	cleanup_log_milter(c, "milter-discard", where, "milter triggers DISCARD action");
	c->discard = true;
}

static bool refuse(struct cleanup *c, const char *where, const char *reply)
{
	size_t status = dsn_status_length(str_c(reply + 4));

	if (c->status != CLEANUP_OK)
		return false;
	c->reply = c->options.milters ? reply : NULL;
	cleanup_log_milter(c, "milter-reject", where, reply + 4);
	return cleanup_fail(c, CLEANUP_REJECTED,
		status		  ? pool_strndup(c->pool, reply + 4, status)
		: reply[0] == '4' ? "4.7.1"
				  : NULL,
		pool_strdup(c->pool, str_trim(str_c(reply + 4 + status)).p));
}

bool cleanup_follow(struct cleanup *c, const char *where, struct milter_verdict verdict)
{
	switch (verdict.action) {
	case MILTER_REFUSE:
		return refuse(c, where, verdict.reply);
	case MILTER_DISCARD:
		discard(c, where);
		break;
	case MILTER_HOLD:
		return hold_message(c, where);
	case MILTER_GO_ON:
		break;
	}
	return c->status == CLEANUP_OK;
}

/* ---- writing it anew */

static bool write_headers(const struct display *d)
{
	for (size_t i = 0; i < d->count; i++) {
		struct str text = str_c(d->headers[i].text);

		d->c->utf8_header = d->c->utf8_header || str_has_8bit(text);
		if (!cleanup_write_lines(d->c, text))
			return false;
	}
	return (!d->body && !d->c->body_start) || cleanup_write(d->c, STR(""), false);
}

static ssize_t stored_body(const struct display *d, uint64_t offset, char *piece)
{
	if (d->body)
		return spool_written(d->body, offset, piece, PIECE);
	return d->c->body_start ? spool_former(d->c->writer, d->c->body_start + offset, piece, PIECE) : 0;
}

static bool copy_body(const struct display *d)
{
	char *piece = x_alloc(PIECE);
	uint64_t at = 0;
	ssize_t n;

	while ((n = stored_body(d, at, piece)) > 0) {
		if (!spool_content(d->c->writer, (struct str){piece, (size_t)n}))
			break;
		at += (uint64_t)n;
	}
	x_free(&piece);
	return n == 0;
}

static bool write_anew(struct display *d)
{
	struct cleanup *c = d->c;

	if (d->body && (d->line.len > 0 || d->body_cr) && !body_line(d, true))
		return cleanup_fail(c, CLEANUP_TROUBLE, NULL, NULL);
	c->line_length = 0;
	if (spool_restart(c->writer) && write_headers(d) && copy_body(d))
		return true;
	return cleanup_fail(c, CLEANUP_TROUBLE, NULL, NULL);
}

static bool follow(struct display *d, struct milter_verdict verdict)
{
	struct cleanup *c = d->c;

	if (!cleanup_follow(c, AT_END, verdict) || c->discard)
		return c->discard;
	if (d->edited_recipients && c->envelope.recipient_count == 0) {
		discard(c, AT_END);
		return true;
	}
	return !d->changed || write_anew(d);
}

bool cleanup_show(struct cleanup *c, struct milters *milters)
{
	struct display d = {.c = c};
	const struct milter_message message = {.arg = &d,
		.header = show_header,
		.body = show_body,
		.add_header = add_header,
		.insert_header = insert_header,
		.change_header = change_header,
		.replace_body = replace_body,
		.add_recipient = add_recipient,
		.delete_recipient = delete_recipient,
		.change_sender = change_sender,
		.hold = hold};
	bool ok;

	buf_init(&d.line, PIECE + 2);
	if (load_headers(&d))
		ok = follow(&d, milters_message(milters, &message));
	else
		ok = cleanup_fail(c, CLEANUP_TROUBLE, NULL, NULL);
	spool_abort(&d.body);
	buf_free(&d.line);
	while (d.count > 0)
		drop_header(&d, d.count - 1);
	x_free(&d.headers);
	return ok;
}
