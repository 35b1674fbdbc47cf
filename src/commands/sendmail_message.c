/* The message on standard input: line ends made CRLF, the recipients of the header found. */
#include <errno.h>
#include <unistd.h>

#include "base/lines.h"
#include "commands/sendmail.h"
#include "mail/address.h"

#define FIELD_MAX (8u << 20) /* bytes of one header field with recipients */

enum endings { STRIP_CR, KEEP_CR, STRIP_IF_FIRST };

/* Collects the fields with recipients. With a Resent- field among them the others are somebody else's mail
 * (RFC 5322 section 3.6.6). */
struct header {
	const struct sendmail *s; /* for what is said of errors */
	bool over;		  /* the body has begun */
	bool wanted, resent;
	struct buf field;
	struct address_list plain, again;
	bool has_resent;
};

struct copy {
	struct sendmail *s;
	struct submission_pipe *to;
	struct header header;
	enum endings endings;
	bool line_start, begun; /* begun: past the lines before the header */
	bool skipping;		/* a line that is left out */
};

static bool field_wanted(struct str line, bool *resent, size_t *name_length)
{
	static const char *const names[] = {"To", "Cc", "Bcc"};
	ptrdiff_t colon = str_find(line, ':');
	struct str name = str_trim(str_first(line, colon < 0 ? 0 : (size_t)colon));

	*name_length = colon < 0 ? 0 : (size_t)colon + 1;
	*resent = str_case_starts(name, STR("Resent-"));
	if (*resent)
		name = str_from(name, sizeof("Resent-") - 1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (str_case_is(name, names[i]))
			return true;
	}
	return false;
}

static void field_end(struct header *h)
{
	if (h->field.over)
		sendmail_fail_user(h->s, "header with recipients is too long");
	if (h->wanted && !address_list_parse(buf_slice(&h->field), h->resent ? &h->again : &h->plain))
		sendmail_fail_user(h->s, "bad recipient address syntax in message header");
	h->has_resent |= h->wanted && h->resent;
	h->wanted = false;
	buf_clear(&h->field);
}

/* A line that is neither a field nor its continuation ends the header, as an empty one does. */
static bool is_field(struct str line)
{
	ptrdiff_t colon = str_find(line, ':');
	ptrdiff_t blank = str_find(line, ' ');

	return colon > 0 &&
	       (blank < 0 || blank > colon || str_trim(str_first(line, (size_t)colon)).n == (size_t)blank);
}

static void header_piece(struct header *h, struct str piece, bool line_start, bool whole)
{
	bool continued = piece.n && (piece.p[0] == ' ' || piece.p[0] == '\t');
	size_t skip;

	if (h->over)
		return;
	if (line_start && !continued) {
		field_end(h);
		h->over = (whole && piece.n == 0) || !is_field(piece);
		h->wanted = !h->over && field_wanted(piece, &h->resent, &skip);
		if (h->wanted)
			buf_str(&h->field, str_from(piece, skip));
	} else if (h->wanted) {
		if (line_start)
			buf_putc(&h->field, '\n');
		buf_str(&h->field, piece);
	}
}

static void header_finish(struct header *h, struct address_list *out)
{
	struct address_list *from = h->has_resent ? &h->again : &h->plain;

	field_end(h);
	address_list_move(from, out);
	address_list_free(&h->plain);
	address_list_free(&h->again);
	buf_free(&h->field);
}

static enum endings endings_of(const char *value)
{
	if (strcmp(value, "never") == 0)
		return KEEP_CR;
	return strcmp(value, "strict") == 0 ? STRIP_IF_FIRST : STRIP_CR;
}

/* The line without the CR that are to go. */
static struct str without_end(struct copy *c, struct str piece, enum lines_result kind)
{
	if (c->endings == STRIP_IF_FIRST && kind != LINES_PART)
		c->endings = kind == LINES_LINE_CRLF ? STRIP_CR : KEEP_CR;
	while (c->endings == STRIP_CR && kind == LINES_LINE_CRLF && piece.n && piece.p[piece.n - 1] == '\r')
		piece.n--;
	return piece;
}

static void send_piece(struct copy *c, struct str piece, enum lines_result kind)
{
	submission_pipe_content(c->to, piece);
	if (kind == LINES_LINE_CRLF && c->endings == KEEP_CR)
		submission_pipe_content(c->to, STR("\r"));
	if (kind != LINES_PART)
		submission_pipe_content(c->to, STR("\r\n"));
}

/* What mailbox files and old programs put before the header. */
static bool is_from_line(struct str piece)
{
	return str_starts(piece, STR("From ")) || str_starts(piece, STR(">From "));
}

static bool is_dot(const struct copy *c, struct str piece, enum lines_result kind)
{
	return str_is(piece, ".") &&
	       (kind == LINES_LINE || (kind == LINES_LINE_CRLF && c->endings == STRIP_CR));
}

/* false: the end of the message. */
static bool take_piece(struct copy *c, struct str piece, enum lines_result kind)
{
	bool whole = kind != LINES_PART;

	piece = without_end(c, piece, kind);
	if (c->line_start && !c->s->dots_are_text && is_dot(c, piece, kind))
		return false;
	if (c->line_start) {
		c->skipping = !c->begun && is_from_line(piece);
		c->begun |= !c->skipping;
	}
	if (!c->skipping) {
		if (c->s->header_recipients)
			header_piece(&c->header, piece, c->line_start, whole);
		send_piece(c, piece, kind);
	}
	c->line_start = whole;
	return true;
}

static void read_chunk(const struct sendmail *s, struct lines *l)
{
	char chunk[LINES_CHUNK];
	ssize_t n;

	do {
		n = read(STDIN_FILENO, chunk, sizeof(chunk));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		sendmail_fail_user(s, "reading message: %m");
	lines_feed(l, (struct str){chunk, (size_t)n});
}

void sendmail_copy(struct sendmail *s, struct submission_pipe *to)
{
	struct copy c = {.s = s,
		.to = to,
		.header = {.s = s, .field = BUF(FIELD_MAX)},
		.line_start = true,
		.endings = endings_of(s->cfg->sendmail_fix_line_endings)};
	enum lines_result kind;
	struct lines l;
	struct str piece;

	lines_begin(&l);
	while ((kind = lines_next(&l, &piece)) != LINES_END) {
		if (kind == LINES_WANT)
			read_chunk(s, &l);
		else if (!take_piece(&c, piece, kind))
			break;
	}
	lines_free(&l);
	header_finish(&c.header, &s->recipients);
}

static void probe_line(struct submission_pipe *to, const char *name, const char *address, bool more)
{
	struct buf line = BUF(4 * ADDRESS_MAX);

	buf_printf(&line, "%s", name);
	address_quote(str_c(address), &line);
	buf_printf(&line, "%s\r\n", more ? "," : "");
	submission_pipe_content(to, buf_slice(&line));
	buf_free(&line);
}

void sendmail_probe(const struct sendmail *s, const char *sender, struct submission_pipe *to)
{
	probe_line(to, "From: ", sender, false);
	submission_pipe_content(to, STR("Subject: probe\r\n"));
	for (size_t i = 0; i < s->recipients.count; i++)
		probe_line(to, i == 0 ? "To: " : "\t", s->recipients.items[i], i + 1 < s->recipients.count);
	submission_pipe_content(to, STR("\r\n"));
}
