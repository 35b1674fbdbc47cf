#include "base/mem.h"
#include "cleanup/cleanup_private.h"
#include "mail/header_addresses.h"

#define LINE_MAX_SMTP 998 /* RFC 5321 section 4.5.3.1.6, without CRLF */
#define CRLF STR("\r\n")

void cleanup_note_line(struct cleanup *c, struct str line, bool partial)
{
	int *flags = &c->envelope.flags;

	if (c->line_length == 0 && line.n && line.p[0] == '.')
		*flags |= ENVELOPE_DOTS;
	c->line_length += line.n;
	if (c->line_length > LINE_MAX_SMTP)
		*flags |= ENVELOPE_LONG_LINES;
	if (!(*flags & ENVELOPE_8BIT) && str_has_8bit(line))
		*flags |= ENVELOPE_8BIT;
	if (!partial)
		c->line_length = 0;
}

bool cleanup_write(struct cleanup *c, struct str line, bool partial)
{
	if (c->status != CLEANUP_OK)
		return false;
	cleanup_note_line(c, line, partial);
	if (!c->in_body && str_has_8bit(line))
		c->utf8_header = true;
	if (!spool_content(c->writer, line) || (!partial && !spool_content(c->writer, CRLF)))
		return cleanup_fail(c, CLEANUP_TROUBLE, NULL, NULL);
	return true;
}

bool cleanup_write_lines(struct cleanup *c, struct str text)
{
	for (;;) {
		const char *end = text.n ? memmem(text.p, text.n, "\r\n", 2) : NULL;
		struct str line = end ? str_first(text, (size_t)(end - text.p)) : text;

		if (!cleanup_write(c, line, false))
			return false;
		if (!end)
			return true;
		text = str_from(text, line.n + 2);
	}
}

static bool check_size(struct cleanup *c)
{
	const long long limit = c->env->cfg->message_size_limit;

	if (limit > 0 && !cleanup_is_trusted(&c->options) &&
		spool_content_size(c->writer) + c->header.len > (uint64_t)limit)
		return cleanup_fail(c, CLEANUP_TOO_BIG, NULL, NULL);
	return true;
}

/* A header is over. After the message's own, what was not there is added, then the empty line. */
static bool end_of_headers(struct cleanup *c, bool empty)
{
	bool primary = !c->in_body;

	if (!cleanup_header(c))
		return false;
	if (c->discard)
		return true;
	if (primary && !cleanup_missing_headers(c))
		return false;
	c->in_body = true;
	cleanup_mime_end_header(c, empty);
	if ((primary || empty) && !cleanup_write(c, STR(""), false))
		return false;
	if (primary)
		c->body_start = spool_content_size(c->writer);
	return true;
}

static bool body_line(struct cleanup *c, struct str line, bool partial)
{
	bool begins = !c->mid_line, drop = false;

	c->mid_line = partial;
	if (c->env->look_inside && !cleanup_is_trusted(&c->options) &&
		!cleanup_check_body(c, &line, begins, !partial, &drop))
		return false;
	if (!drop)
		return cleanup_write(c, line, partial) && check_size(c);
	return partial || c->line_length == 0 || cleanup_write(c, STR(""), false);
}

static bool is_continuation(const struct cleanup *c, struct str line)
{
	return c->mid_line || (c->header.len && line.n && (line.p[0] == ' ' || line.p[0] == '\t'));
}

/* A header that has reached header_size_limit grows no more: the lines after that are discarded. A line end
 * counts as one byte. */
static bool header_has_room(const struct cleanup *c)
{
	return c->header.len - c->header_folds < (size_t)c->env->cfg->header_size_limit;
}

static void header_add(struct cleanup *c, struct str text)
{
	buf_str(&c->header, str_first(text, c->header.max - c->header.len));
}

/* Blanks before the colon (RFC 5322 section 4.5) go away: who reads on may not expect them. */
static void header_begin(struct cleanup *c, struct str line)
{
	c->header_is_own = !c->started;
	c->header_folds = 0;
	header_add(c, str_first(line, header_name_length(line)));
	header_add(c, str_from(line, (size_t)str_find(line, ':')));
}

/*
 * The one place that decides where the header ends: at an empty line, or before the first line that is
 * neither a header nor a continuation, where an empty line is put in.
 */
static bool header_line(struct cleanup *c, struct str line, bool partial)
{
	if (is_continuation(c, line)) {
		if (header_has_room(c)) {
			if (!c->mid_line) {
				header_add(c, CRLF);
				c->header_folds++;
			}
			header_add(c, line);
		}
	} else if (line.n == 0 && !partial) {
		return end_of_headers(c, true);
	} else if (header_name_length(line) == 0) {
		return end_of_headers(c, false) && body_line(c, line, partial);
	} else {
		if (!cleanup_header(c))
			return false;
		header_begin(c, line);
	}
	c->mid_line = partial;
	return check_size(c);
}

static char *in_scratch(struct cleanup *c, struct str line)
{
	if (line.p != c->scratch.data) {
		buf_clear(&c->scratch);
		buf_str(&c->scratch, line);
	}
	return c->scratch.data;
}

static struct str without_bytes(struct cleanup *c, const struct byte_set *set, struct str line)
{
	char *text = in_scratch(c, line);
	size_t n = 0;

	for (size_t i = 0; i < line.n; i++) {
		if (!set->has[(unsigned char)text[i]])
			text[n++] = text[i];
	}
	return (struct str){text, n};
}

/* A CR or LF inside a line could pass for a line end at some later hop. */
static struct str without_stray_ends(struct cleanup *c, struct str line)
{
	char *text;

	if (!memchr(line.p, '\r', line.n) && !memchr(line.p, '\n', line.n))
		return line;
	text = in_scratch(c, line);
	for (size_t i = 0; i < line.n; i++) {
		if (text[i] == '\r' || text[i] == '\n')
			text[i] = ' ';
	}
	return (struct str){text, line.n};
}

static bool content_line(struct cleanup *c, struct str line, bool partial)
{
	if (c->status != CLEANUP_OK)
		return false;
	return cleanup_section(c) == MIME_BODY ? body_line(c, line, partial) : header_line(c, line, partial);
}

static bool reject_bytes(struct cleanup *c, struct str line)
{
	cleanup_log_content(c, "reject", "content", line, "5.7.1 disallowed character");
	return cleanup_fail(c, CLEANUP_REJECTED, NULL, "disallowed character");
}

/* Lines that mailbox files put before messages ("From user date") go on as a header, so that they do not end
 * the header. */
static struct str mailbox_line(struct cleanup *c, struct str line)
{
	struct buf header = BUF(c->scratch.max);
	size_t quotes = 0;

	while (quotes < line.n && line.p[quotes] == '>')
		quotes++;
	c->started = !str_starts(str_from(line, quotes), STR("From "));
	if (c->started)
		return line;
	buf_puts(&header, "X-Mailbox-Line: ");
	buf_str(&header, line);
	buf_free(&c->scratch); /* the line may lie there */
	c->scratch = header;
	return buf_slice(&c->scratch);
}

bool cleanup_line(struct cleanup *c, struct str line, bool partial)
{
	const struct cleanup_env *env = c->env;
	const bool checked = env->check_content && !cleanup_is_trusted(&c->options);

	if (c->status != CLEANUP_OK)
		return false;
	if (c->discard)
		return true;
	if (env->cfg->cleanup_replace_stray_cr_lf)
		line = without_stray_ends(c, line);
	if (env->strip.any && checked && byte_set_hits(&env->strip, line))
		line = without_bytes(c, &env->strip, line);
	if (env->reject.any && checked && byte_set_hits(&env->reject, line))
		return reject_bytes(c, line);
	if (!c->started && !c->mid_line) {
		/* What was put before the message does not go on in its first line. */
		if (!cleanup_header(c))
			return false;
		line = mailbox_line(c, line);
	}
	return content_line(c, line, partial);
}

void cleanup_prepend(struct cleanup *c, struct str header_lines)
{
	while (header_lines.n) {
		const char *end = memmem(header_lines.p, header_lines.n, "\r\n", 2);
		struct str line =
			end ? str_first(header_lines, (size_t)(end - header_lines.p)) : header_lines;

		if (!content_line(c, line, false))
			return;
		header_lines = str_from(header_lines, line.n + 2);
	}
}
