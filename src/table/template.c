#include "table/template.h"

static bool known(char form)
{
	return form == '%' || (form >= '1' && form <= '9') || (form && strchr("sudSUD", form));
}

bool template_check(const char *parameter, const char *text, struct err *err)
{
	for (const char *p = strchr(text, '%'); p; p = strchr(p + 2, '%')) {
		if (!known(p[1]))
			return err_set(err, "%s: unknown form %.2s in \"%s\"", parameter, p, text);
	}
	return true;
}

/* The part of a domain that is number levels below the top: 1 is "com" of "mail.example.com". Dots at an end
 * or side by side make no parts. */
static bool domain_level(struct str domain, int number, struct str *part)
{
	while (domain.n > 0) {
		ptrdiff_t dot = str_rfind(domain, '.');

		*part = str_from(domain, (size_t)(dot + 1));
		if (part->n > 0 && --number == 0)
			return true;
		domain = str_first(domain, dot < 0 ? 0 : (size_t)dot);
	}
	return false;
}

/* form: s, u, d or a digit. */
static bool part_of(struct str text, char form, struct str *part)
{
	ptrdiff_t at = str_rfind(text, '@');

	*part = text;
	if (text.n == 0)
		return false;
	switch (form) {
	case 's':
		return true;
	case 'u':
		if (at >= 0)
			*part = str_first(text, (size_t)at);
		return at != 0;
	case 'd':
		*part = str_from(text, (size_t)(at + 1));
		return at >= 0 && part->n > 0;
	default:
		return at >= 0 && domain_level(str_from(text, (size_t)(at + 1)), form - '0', part);
	}
}

static bool form_part(char form, struct str value, struct str key, struct str *part)
{
	switch (form) {
	case 's':
	case 'u':
	case 'd':
		return part_of(value, form, part);
	case 'S':
		return part_of(key, 's', part);
	case 'U':
		return part_of(key, 'u', part);
	case 'D':
		return part_of(key, 'd', part);
	default:
		return part_of(key, form, part);
	}
}

bool template_applies(const char *text, struct str key, bool all)
{
	struct str part;

	for (const char *p = strchr(text, '%'); p && p[1]; p = strchr(p + 2, '%')) {
		if (p[1] == '%' || (!all && strchr("sud", p[1])))
			continue;
		if (!form_part(p[1], key, key, &part))
			return false;
	}
	return true;
}

static bool expand_form(
	char form, struct str value, struct str key, template_quote quote, void *arg, struct buf *out)
{
	struct str part;

	if (form == '%')
		return buf_putc(out, '%');
	if (!form_part(form, value, key, &part))
		return false;
	if (quote)
		return quote(arg, part, out);
	return buf_str(out, part);
}

bool template_expand(
	const char *text, struct str value, struct str key, template_quote quote, void *arg, struct buf *out)
{
	const char *p = text;
	size_t plain;

	for (;;) {
		plain = strcspn(p, "%");
		buf_add(out, p, plain);
		p += plain;
		if (!p[0] || !p[1])
			return !out->over;
		if (!expand_form(p[1], value, key, quote, arg, out))
			return false;
		p += 2;
	}
}
