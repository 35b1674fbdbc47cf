#include "smtpd/expansion.h"

/* The byte that is written at *p, behind a backslash, which before anything else stands for what follows. */
static unsigned char escaped(const char **p)
{
	int meant = str_take_escape(p);

	if (meant >= 0)
		return (unsigned char)meant;
	return **p ? (unsigned char)*(*p)++ : '\\';
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
