#include <stdarg.h>

#include "bounce/bounce_private.h"
#include "mail/address.h"

#define LINE_WIDTH 79
#define TEXT_MAX 100000 /* bytes of one field or paragraph */

static bool passes(const struct report *r, unsigned char c)
{
	return c >= 0x80 ? r->utf8 : c >= 0x20 && c != 0x7f;
}

static void make_clean(const struct report *r, struct buf *text)
{
	bool utf8 = address_valid_utf8(buf_slice(text));

	for (size_t i = 0; i < text->len; i++) {
		unsigned char c = (unsigned char)text->data[i];

		if (c == '\n' || c == '\t')
			text->data[i] = ' ';
		else if (!passes(r, c) || (c >= 0x80 && !utf8))
			text->data[i] = '?';
	}
}

bool bounce_line(struct report *r, const char *fmt, ...)
{
	struct buf text = BUF(TEXT_MAX);
	va_list ap;
	bool ok;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	make_clean(r, &text);
	ok = cleanup_line(r->out, buf_slice(&text), false);
	buf_free(&text);
	return ok;
}

/* How much of text fits into width: up to a blank; a word that is longer stays whole. */
static size_t fold_at(struct str text, size_t width)
{
	size_t at = 0;

	for (size_t i = 1; i < text.n && (i <= width || at == 0); i++)
		if (text.p[i] == ' ')
			at = i;
	return text.n <= width || at == 0 ? text.n : at;
}

static bool fold(struct report *r, struct str text)
{
	struct buf line = BUF(TEXT_MAX + 4);
	size_t indent = 0;
	bool ok = true;

	while (ok && text.n > 0) {
		size_t n = fold_at(text, LINE_WIDTH - indent);

		buf_clear(&line);
		buf_add(&line, "    ", indent);
		buf_str(&line, str_first(text, n));
		ok = cleanup_line(r->out, buf_slice(&line), false);
		text = str_trim(str_from(text, n));
		indent = 4;
	}
	buf_free(&line);
	return ok;
}

bool bounce_folded(struct report *r, const char *fmt, ...)
{
	struct buf text = BUF(TEXT_MAX);
	va_list ap;
	bool ok;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	make_clean(r, &text);
	ok = fold(r, str_trim(buf_slice(&text)));
	buf_free(&text);
	return ok;
}

const char *bounce_address(struct report *r, const char *internal)
{
	struct buf out = BUF(4 * ADDRESS_MAX);
	char *copy;

	address_quote(str_c(internal), &out);
	copy = pool_strdup(cleanup_pool(r->out), buf_cstr(&out));
	buf_free(&out);
	return copy;
}

/* ---- the notice */

static void failure_notice(struct report *r)
{
	bounce_line(r, "Your message could not be delivered to the recipients named below.");
	bounce_line(r, "The system has given up on them and will not try again. Below each");
	bounce_line(r, "address is the reason; the message, or its header, follows this report.");
}

static void delay_notice(struct report *r)
{
	const struct config *cfg = r->env->cfg;

	bounce_line(r, "This is a warning. THERE IS NO NEED TO SEND YOUR MESSAGE AGAIN.");
	bounce_line(r, "%s", "");
	bounce_line(r, "For more than %d hour(s) the message could not be delivered to the",
		cfg->delay_warning_time / 3600);
	bounce_line(r, "recipients named below. More attempts follow until it is %d day(s) old.",
		cfg->maximal_queue_lifetime / 86400);
}

static void success_notice(struct report *r)
{
	bounce_line(r, "Your message was delivered for the recipients named below. Where it was");
	bounce_line(r, "handed on to a system that does not send reports, this is the last one;");
	bounce_line(r, "news of a failure further on may still come from elsewhere.");
}

static void postmaster_line(struct report *r)
{
	bounce_line(r, "%s", "");
	bounce_line(r, "If you need help, write to <postmaster> at this system and send this");
	bounce_line(r, "report along.");
	bounce_line(r, "%s", "");
	bounce_line(r, "                   The mail system");
}

static void recipient_paragraph(struct report *r, const struct spool_recipient *rcpt)
{
	const char *address = bounce_address(r, rcpt->address);
	const char *original = rcpt->original ? bounce_address(r, rcpt->original) : NULL;
	const char *reason = rcpt->last ? rcpt->last->reason : "no reason is known";

	bounce_line(r, "%s", "");
	if (original != NULL && ascii_casecmp(original, address) != 0)
		bounce_folded(r, "<%s> (expanded from <%s>): %s", address, original, reason);
	else
		bounce_folded(r, "<%s>: %s", address, reason);
}

void bounce_notice(struct report *r)
{
	static void (*const notice[])(struct report *) = {[BOUNCE_FAILURE] = failure_notice,
		[BOUNCE_DELAY] = delay_notice,
		[BOUNCE_SUCCESS] = success_notice};

	bounce_line(r, "This is the mail system at host %s.", r->env->cfg->myhostname);
	bounce_line(r, "%s", "");
	notice[r->kind](r);
	postmaster_line(r);
	for (size_t i = 0; i < r->count; i++)
		recipient_paragraph(r, &r->e->recipients[r->indexes[i]]);
}
