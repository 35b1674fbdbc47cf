#include "smtpd/expansion.h"

static const char names[] = "abfnrtv\\", bytes[] = "\a\b\f\n\r\t\v\\";

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* The byte that is written at p, behind a backslash, and the end of it. A backslash before anything else
 * stands for what follows. */
static unsigned char escaped(const char **p)
{
	const char *at = **p ? strchr(names, **p) : NULL;
	unsigned value = 0;

	if (at) {
		(*p)++;
		return (unsigned char)bytes[at - names];
	}
	if (!is_octal(**p))
		return **p ? (unsigned char)*(*p)++ : '\\';
	for (int i = 0; i < 3 && is_octal(**p); i++)
		value = value * 8 + (unsigned)(*(*p)++ - '0');
	return (unsigned char)value;
}

void expansion_filter_parse(struct expansion_filter *f, const char *text)
{
	*f = (struct expansion_filter){{false}};
	while (*text) {
		unsigned char c = (unsigned char)*text++;

		f->allowed[c == '\\' ? escaped(&text) : c] = true;
	}
}

void expansion_filter_apply(const struct expansion_filter *f, char *text)
{
	for (; *text; text++)
		if (!f->allowed[(unsigned char)*text])
			*text = '_';
}
