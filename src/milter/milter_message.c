/* The content of a message, and what a filter wants to be done with it. */
#include "milter/milter_private.h"

#define CHUNK_MAX 65535 /* bytes of the body in one packet */
#define HEADER_MAX (WIRE_PACKET_MAX / 2)

static const struct milter_verdict go_on = {MILTER_GO_ON, NULL};

/* ---- showing it */

/* Lines of a value are joined by LF, and the blank after the colon is the protocol's, unless the filter wants
 * to see it. */
static void put_value(struct filter *f, struct buf *payload, struct str value)
{
	if (!(f->protocol & WANTS_LEADING_BLANK) && value.n > 0 && value.p[0] == ' ')
		value = str_from(value, 1);
	for (size_t i = 0; i < value.n; i++) {
		bool line_end = value.p[i] == '\r' && i + 1 < value.n && value.p[i + 1] == '\n';

		if (!line_end)
			buf_putc(payload, value.p[i] ? value.p[i] : ' ');
	}
	buf_putc(payload, '\0');
}

static struct milter_verdict show_header(struct filter *f, struct str name, struct str value)
{
	struct buf payload = BUF(HEADER_MAX);
	struct filter_event e = {.letter = CMD_HEADER, .mute = MUTE_HEADER};
	struct milter_verdict verdict;

	wire_string(&payload, name);
	put_value(f, &payload, value);
	e.payload = buf_slice(&payload);
	verdict = filter_show(f, &e);
	buf_free(&payload);
	return verdict;
}

static bool done_with(const struct filter *f, struct milter_verdict verdict)
{
	return verdict.action != MILTER_GO_ON || filter_asleep(f);
}

static struct milter_verdict show_headers(struct filter *f, const struct milter_message *message)
{
	struct milter_verdict verdict = go_on;
	struct str name, value;

	filter_macros(f, CMD_HEADER, MACROS_END_OF_HEADER);
	if (f->protocol & NO_HEADERS)
		return go_on;
	for (size_t i = 0; message->header(message->arg, i, &name, &value); i++) {
		verdict = show_header(f, name, value);
		if (done_with(f, verdict))
			break;
	}
	return verdict;
}

static struct milter_verdict show_end_of_header(struct filter *f)
{
	const struct filter_event e = {.letter = CMD_END_OF_HEADER,
		.macros = MACROS_END_OF_HEADER,
		.unwanted = NO_END_OF_HEADER,
		.mute = MUTE_END_OF_HEADER,
		.payload = STR("")};

	return filter_send(f, &e);
}

static struct milter_verdict unreadable(struct filter *f)
{
	f->session->host.warn(f->session->host.arg, "message cannot be read for a milter");
	return filter_refuse(f, reply_for_answer(ANSWER_TEMPFAIL), false);
}

static struct milter_verdict show_chunks(struct filter *f, const struct milter_message *message, char *chunk)
{
	struct filter_event e = {.letter = CMD_BODY, .mute = MUTE_BODY};
	struct milter_verdict verdict;
	uint64_t offset = 0;
	ssize_t n;

	while ((n = message->body(message->arg, offset, chunk, CHUNK_MAX)) > 0) {
		if (offset == 0)
			filter_macros(f, CMD_BODY, MACROS_END_OF_BODY);
		e.payload = (struct str){chunk, (size_t)n};
		verdict = filter_show(f, &e);
		if (done_with(f, verdict) || f->skip_body)
			return verdict;
		offset += (uint64_t)n;
	}
	return n < 0 ? unreadable(f) : go_on;
}

static struct milter_verdict show_body(struct filter *f, const struct milter_message *message)
{
	struct milter_verdict verdict;
	char *chunk;

	if (f->protocol & NO_BODY)
		return go_on;
	chunk = x_alloc(CHUNK_MAX);
	verdict = show_chunks(f, message, chunk);
	x_free(&chunk);
	return verdict;
}

/* ---- edits */

struct edit {
	struct cursor c;
	bool blank; /* between colon and value is not part of what the filter says */
	struct buf value;
	const struct milter_message *message;
	bool first_body; /* no piece of a new body came yet */
};

static struct str with_blank(struct edit *e, struct str value)
{
	if (!e->blank)
		return value;
	buf_clear(&e->value);
	buf_putc(&e->value, ' ');
	buf_str(&e->value, value);
	return buf_slice(&e->value);
}

static bool take_header(struct edit *e, struct str *name, struct str *value)
{
	return wire_take_string(&e->c, name) && wire_take_string(&e->c, value) && name->n > 0;
}

static bool edit_add_header(struct edit *e)
{
	struct str name, value;

	return take_header(e, &name, &value) &&
	       e->message->add_header(e->message->arg, name, with_blank(e, value));
}

static bool edit_insert_header(struct edit *e)
{
	struct str name, value;
	uint32_t position;

	return wire_take_number(&e->c, &position) && take_header(e, &name, &value) &&
	       e->message->insert_header(e->message->arg, position, name, with_blank(e, value));
}

/* The empty value removes the header, whoever the blank belongs to. */
static bool edit_change_header(struct edit *e)
{
	struct str name, value;
	uint32_t index;

	return wire_take_number(&e->c, &index) && take_header(e, &name, &value) &&
	       e->message->change_header(
		       e->message->arg, index, name, value.n > 0 ? with_blank(e, value) : value);
}

static bool edit_body(struct edit *e)
{
	struct str piece = cursor_rest(&e->c);
	bool first = e->first_body;

	e->first_body = false;
	return cursor_skip(&e->c, piece.n) && e->message->replace_body(e->message->arg, piece, first);
}

static bool edit_address(struct edit *e, bool (*edit)(void *arg, struct str address, struct str options))
{
	struct str address, options = {"", 0};

	if (!wire_take_string(&e->c, &address))
		return false;
	if (e->c.left > 0 && !wire_take_string(&e->c, &options))
		return false;
	return edit(e->message->arg, address, options);
}

static bool edit_add_recipient(struct edit *e)
{
	return edit_address(e, e->message->add_recipient);
}

static bool edit_change_sender(struct edit *e)
{
	return edit_address(e, e->message->change_sender);
}

static bool edit_delete_recipient(struct edit *e)
{
	struct str address;

	return wire_take_string(&e->c, &address) && e->message->delete_recipient(e->message->arg, address);
}

static bool edit_hold(struct edit *e)
{
	struct str reason;

	return wire_take_string(&e->c, &reason) && e->message->hold(e->message->arg, reason);
}

static const struct edit_kind {
	int answer;
	uint32_t permission;
	bool (*run)(struct edit *e);
} edit_kinds[] = {
	{ANSWER_ADD_HEADER, MAY_ADD_HEADERS, edit_add_header},
	{ANSWER_INSERT_HEADER, MAY_ADD_HEADERS, edit_insert_header},
	{ANSWER_CHANGE_HEADER, MAY_CHANGE_HEADERS, edit_change_header},
	{ANSWER_REPLACE_BODY, MAY_CHANGE_BODY, edit_body},
	{ANSWER_ADD_RCPT, MAY_ADD_RCPT, edit_add_recipient},
	{ANSWER_ADD_RCPT_OPTIONS, MAY_ADD_RCPT_OPTIONS, edit_add_recipient},
	{ANSWER_DELETE_RCPT, MAY_DELETE_RCPT, edit_delete_recipient},
	{ANSWER_CHANGE_SENDER, MAY_CHANGE_SENDER, edit_change_sender},
	{ANSWER_QUARANTINE, MAY_QUARANTINE, edit_hold},
};

static const struct edit_kind *find_edit(int answer)
{
	for (size_t i = 0; i < sizeof(edit_kinds) / sizeof(edit_kinds[0]); i++)
		if (edit_kinds[i].answer == answer)
			return &edit_kinds[i];
	return NULL;
}

/* A filter that is lost after it began to change the message leaves neither the old nor the new one. */
static struct milter_verdict half_done(struct filter *f)
{
	f->accepts_message = false;
	return f->standing = filter_refuse(f, reply_for_answer(ANSWER_TEMPFAIL), false);
}

static struct milter_verdict lost(struct filter *f, bool edited, const char *why)
{
	struct milter_verdict verdict = filter_fail(
		f, "milter %s: can't read reply to '%c': %s", f->spec->endpoint, CMD_END_OF_BODY, why);

	return edited ? half_done(f) : verdict;
}

static bool apply(struct filter *f, const struct edit_kind *kind, struct edit *e)
{
	e->c = cursor_of(f->packet.data, f->packet.len);
	return f->actions & kind->permission && kind->run(e) && e->c.left == 0;
}

static struct milter_verdict run_edits(struct filter *f, struct edit *e)
{
	const struct edit_kind *kind;
	struct err err = {""};
	bool edited = false;
	int answer;

	for (;;) {
		stream_start_request(f->io);
		answer = wire_read(f, &err);
		if (answer < 0)
			return lost(f, edited, err.text);
		if (answer == ANSWER_PROGRESS)
			continue;
		kind = find_edit(answer);
		if (!kind)
			return filter_decide(f, answer, false);
		edited = true;
		if (!apply(f, kind, e)) {
			filter_fail(f, "milter %s: edit '%c' cannot be done", f->spec->endpoint, answer);
			return half_done(f);
		}
	}
}

static struct milter_verdict take_edits(struct filter *f, const struct milter_message *message)
{
	struct edit e = {.message = message,
		.blank = !(f->protocol & WANTS_LEADING_BLANK),
		.value = BUF(WIRE_PACKET_MAX + 1),
		.first_body = true};
	struct milter_verdict verdict = run_edits(f, &e);

	buf_free(&e.value);
	return verdict;
}

static struct milter_verdict end_of_body(struct filter *f, const struct milter_message *message)
{
	filter_macros(f, CMD_END_OF_BODY, MACROS_END_OF_BODY);
	wire_packet(f, CMD_END_OF_BODY, STR(""));
	return take_edits(f, message);
}

struct milter_verdict filter_message(struct filter *f, const struct milter_message *message)
{
	struct milter_verdict verdict;

	stream_set_timeout(f->io, f->spec->content_timeout, true);
	verdict = show_headers(f, message);
	if (!done_with(f, verdict))
		verdict = show_end_of_header(f);
	if (!done_with(f, verdict))
		verdict = show_body(f, message);
	if (!done_with(f, verdict))
		verdict = end_of_body(f, message);
	if (f->io)
		stream_set_timeout(f->io, f->spec->command_timeout, true);
	return verdict;
}
