#include "commands/postcat_print.h"

#include <ctype.h>
#include <inttypes.h>

#include "base/buf.h"
#include "base/clock.h"

/* Record letters that operators know from Postfix. */
enum {
	SIZE = 'C',
	TIME = 'T',
	ATTRIBUTE = 'A',
	SENDER = 'S',
	ORIGINAL = 'O',
	RECIPIENT = 'R',
	DONE = 'D',
	MESSAGE = 'M',
	LINE = 'N',
	EXTRACTED = 'X',
	END = 'E'
};

struct printing {
	const struct postcat *what;
	FILE *out;
	const char *name;
	const struct envelope *e;
	uint64_t offset; /* of the line to be printed */
	bool in_header;
	bool any_header; /* a header field was seen: a continuation may follow */
	bool cut;	 /* the rest of a line whose beginning was printed */
};

static void begin_line(const struct printing *p, int type)
{
	if (p->what->offsets)
		fprintf(p->out, "%9" PRIu64 " ", p->offset);
	if (p->what->types)
		fprintf(p->out, "%3d ", type);
}

/* What a remote system wrote must not drive the terminal. */
static void put_clean(FILE *out, const char *text)
{
	for (; *text; text++)
		putc(iscntrl((unsigned char)*text) ? '?' : *text, out);
}

static void put_field(const struct printing *p, int type, const char *label, const char *text)
{
	begin_line(p, type);
	fprintf(p->out, "%s: ", label);
	put_clean(p->out, text);
	putc('\n', p->out);
}

static void put_attribute(const struct printing *p, const char *name, const char *value)
{
	begin_line(p, ATTRIBUTE);
	fputs("named_attribute: ", p->out);
	put_clean(p->out, name);
	putc('=', p->out);
	put_clean(p->out, value);
	putc('\n', p->out);
}

static void put_number(const struct printing *p, const char *name, int64_t number)
{
	begin_line(p, ATTRIBUTE);
	fprintf(p->out, "named_attribute: %s=%" PRId64 "\n", name, number);
}

static void put_marker(const struct printing *p, int type, const char *title)
{
	if (!p->what->envelope)
		return;
	if (type)
		begin_line(p, type);
	fprintf(p->out, "*** %s %s ***\n", title, p->name);
}

static void put_time(const struct printing *p, int type, const char *label, int64_t us)
{
	time_t seconds = (time_t)(us / US_PER_SEC);
	char text[64];
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%a %b %e %H:%M:%S %Y", &tm);
	put_field(p, type, label, text);
}

static void put_outcome(const struct printing *p, const struct dsn *d)
{
	put_attribute(p, "dsn_status", d->status);
	put_attribute(p, "dsn_action", dsn_action_name(d->action));
	put_attribute(p, "dsn_reason", d->reason ? d->reason : "");
	if (d->diag_text)
		put_attribute(p, "dsn_diag_text", d->diag_text);
	if (d->mta_name)
		put_attribute(p, "dsn_mta_name", d->mta_name);
}

static void put_recipient(const struct printing *p, const struct spool_recipient *r)
{
	if (r->notify)
		put_number(p, "notify_flags", r->notify);
	if (r->orcpt)
		put_attribute(p, "dsn_orig_rcpt", r->orcpt);
	if (p->what->verbose && r->last)
		put_outcome(p, r->last);
	put_field(p, ORIGINAL, "original_recipient", r->original ? r->original : r->address);
	if (r->state == RECIPIENT_DONE)
		put_field(p, DONE, "done_recipient", r->address);
	else
		put_field(p, RECIPIENT, "recipient", r->address);
}

static void put_schedule(const struct printing *p)
{
	put_number(p, "attempts", p->e->attempts);
	if (p->e->next_attempt_us)
		put_time(p, TIME, "next_attempt_time", p->e->next_attempt_us);
	if (p->e->warned_us)
		put_time(p, TIME, "delay_warning_time", p->e->warned_us);
}

/* The six numbers of Postfix's size record: content, where it begins, recipients, flags of the queue manager,
 * content again, SMTPUTF8. */
static void put_size(const struct printing *p, uint64_t content_offset)
{
	begin_line(p, SIZE);
	fprintf(p->out, "message_size: %15" PRIu64 " %15" PRIu64 " %15zu %15d %15" PRIu64 " %15d\n",
		p->e->content_size, content_offset, p->e->recipient_count, 0, p->e->content_size,
		(p->e->flags & ENVELOPE_SMTPUTF8) != 0);
}

static void put_envelope(const struct printing *p, uint64_t content_offset)
{
	const struct envelope *e = p->e;

	put_size(p, content_offset);
	put_time(p, TIME, "message_arrival_time", e->arrival_us);
	put_time(p, ATTRIBUTE, "create_time", e->arrival_us);
	if (e->envid)
		put_attribute(p, "envelope_id", e->envid);
	if (e->ret != RET_NONE)
		put_number(p, "ret_flags", e->ret);
	for (size_t i = 0; i < e->attribute_count; i++)
		put_attribute(p, e->attributes[i].name, e->attributes[i].value);
	if (e->flags & ENVELOPE_EXPIRED)
		put_number(p, "forced_expire", 1);
	if (p->what->verbose)
		put_schedule(p);
	put_field(p, SENDER, "sender", e->sender);
	for (size_t i = 0; i < e->recipient_count; i++)
		put_recipient(p, &e->recipients[i]);
}

/* ---- content */

static bool is_field(struct str line)
{
	size_t n = 0;

	while (n < line.n && line.p[n] > ' ' && line.p[n] < 127 && line.p[n] != ':')
		n++;
	if (n == 0)
		return false;
	while (n < line.n && (line.p[n] == ' ' || line.p[n] == '\t'))
		n++;
	return n < line.n && line.p[n] == ':';
}

static void judge_line(struct printing *p, struct str line)
{
	bool continues = line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t');

	if (!p->in_header)
		return;
	if (continues ? p->any_header : is_field(line))
		p->any_header = true;
	else
		p->in_header = false;
}

/* A line, or as much of it as there was room for. */
static void put_line(struct printing *p, struct str line, bool ends)
{
	size_t n = line.n;

	if (!p->cut)
		judge_line(p, line);
	if (p->in_header ? p->what->header : p->what->body) {
		if (!p->cut)
			begin_line(p, LINE);
		fwrite(line.p, 1, n, p->out);
		if (ends)
			putc('\n', p->out);
	}
	p->cut = !ends;
}

#define LINE_PIECE (1u << 20)

static void take_lines(struct printing *p, struct buf *pending)
{
	struct str rest = buf_slice(pending);
	ptrdiff_t end;

	while ((end = str_find(rest, '\n')) >= 0) {
		size_t n = (size_t)end;

		put_line(p, str_first(rest, n > 0 && rest.p[n - 1] == '\r' ? n - 1 : n), true);
		p->offset += n + 1;
		rest = str_from(rest, n + 1);
	}
	buf_remove(pending, 0, pending->len - rest.n);
	if (pending->len >= LINE_PIECE) {
		put_line(p, buf_slice(pending), false);
		p->offset += pending->len;
		buf_clear(pending);
	}
}

static bool put_content(struct printing *p, struct spool_reader *content, struct err *err)
{
	struct buf pending = BUF(2 * LINE_PIECE);
	struct str piece = {"", 1};
	bool ok = true;

	p->offset = spool_reader_offset(content);
	p->in_header = true;
	while (ok && piece.n > 0 && !ferror(p->out)) {
		ok = spool_read_content(content, &piece, err) == SPOOL_OK;
		buf_str(&pending, piece);
		take_lines(p, &pending);
	}
	if (pending.len > 0)
		put_line(p, buf_slice(&pending), true);
	buf_free(&pending);
	return ok;
}

bool postcat_print(const struct postcat *what, FILE *out, const char *name, const struct envelope *e,
	struct spool_reader *content, struct err *err)
{
	struct printing p = {.what = what, .out = out, .name = name, .e = e};
	uint64_t offset = spool_reader_offset(content);
	bool ok = true;

	put_marker(&p, 0, "ENVELOPE RECORDS");
	p.offset = offset + e->content_size;
	if (what->envelope)
		put_envelope(&p, offset);
	p.offset = offset;
	put_marker(&p, MESSAGE, "MESSAGE CONTENTS");
	if (what->header || what->body)
		ok = put_content(&p, content, err);
	p.offset = offset + e->content_size;
	put_marker(&p, EXTRACTED, "HEADER EXTRACTED");
	put_marker(&p, END, "MESSAGE FILE END");
	return ok;
}
