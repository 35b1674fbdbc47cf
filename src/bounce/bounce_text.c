#include <stdarg.h>

#include "base/utf8.h"
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
	bool utf8 = utf8_valid(buf_slice(text));

	for (size_t i = 0; i < text->len; i++) {
		unsigned char c = (unsigned char)text->data[i];

		if (c == '\n' || c == '\t')
			text->data[i] = ' ';
		else if (!passes(r, c) || (c >= 0x80 && !utf8))
			text->data[i] = '?';
	}
}

static void __attribute__((format(printf, 3, 0)))
format_clean(const struct report *r, struct buf *text, const char *fmt, va_list ap)
{
	buf_vprintf(text, fmt, ap);
	make_clean(r, text);
}

bool bounce_line(struct report *r, const char *fmt, ...)
{
	struct buf text = BUF(TEXT_MAX);
	va_list ap;
	bool ok;

	va_start(ap, fmt);
	format_clean(r, &text, fmt, ap);
	va_end(ap);
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
	format_clean(r, &text, fmt, ap);
	va_end(ap);
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

static const char *reason_of(struct report *r, const struct dsn *d)
{
	if (d == NULL || d->reason == NULL)
		return "no reason is known";
	if (r->kind >= BOUNCE_SUCCESS && d->mta_name != NULL)
		return pool_printf(cleanup_pool(r->out), "delivery via %s: %s", d->mta_name, d->reason);
	return d->reason;
}

static void recipient_paragraph(struct report *r, const struct spool_recipient *rcpt)
{
	const char *address = bounce_address(r, rcpt->address);
	const char *original = rcpt->original ? bounce_address(r, rcpt->original) : NULL;
	const char *reason = reason_of(r, rcpt->last);

	bounce_line(r, "%s", "");
	if (original != NULL && ascii_casecmp(original, address) != 0)
		bounce_folded(r, "<%s> (expanded from <%s>): %s", address, original, reason);
	else
		bounce_folded(r, "<%s>: %s", address, reason);
}

static void notice_text(struct report *r)
{
	struct buf text = BUF(TEXT_MAX);
	struct str rest, line;

	bounce_template_expand(r->env->cfg, r->template, &text);
	rest = buf_slice(&text);
	while (rest.n > 0) {
		ptrdiff_t end = str_find(rest, '\n');

		line = end < 0 ? rest : str_first(rest, (size_t)end);
		rest = str_from(rest, end < 0 ? rest.n : (size_t)end + 1);
		cleanup_line(r->out, line, false);
	}
	buf_free(&text);
}

void bounce_notice(struct report *r)
{
	if (r->audience == AUDIENCE_SENDER)
		notice_text(r);
	for (size_t i = 0; i < r->count; i++)
		recipient_paragraph(r, &r->e->recipients[r->indexes[i]]);
}
