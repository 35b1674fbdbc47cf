#include "mail/encoded_word.h"

#include <ctype.h>

#define WORD_MAX 75
#define WORD_FRAME 7	 /* "=?", "?Q?" and "?=" */
#define CHARACTER_MAX 12 /* a sequence of four bytes, "=xx" each */

bool encoded_word_charset(struct str charset)
{
	for (size_t i = 0; i < charset.n; i++) {
		if (!isalnum((unsigned char)charset.p[i]) && !strchr("-_.:+", charset.p[i]))
			return false;
	}
	return charset.n > 0 && charset.n + WORD_FRAME + CHARACTER_MAX <= WORD_MAX;
}

/* Bytes of the character that text starts with; a byte that begins none stands for itself. */
static size_t character_length(struct str text)
{
	unsigned char first = (unsigned char)text.p[0];
	size_t n = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;

	for (size_t i = 1; i < n; i++) {
		if (i >= text.n || ((unsigned char)text.p[i] & 0xc0) != 0x80)
			return 1;
	}
	return n;
}

static void add_byte(struct buf *out, unsigned char c)
{
	if (c == ' ')
		buf_putc(out, '_');
	else if (c < 0x80 && (isalnum(c) || strchr("!*+-/", c)) && c)
		buf_putc(out, (char)c);
	else
		buf_printf(out, "=%02X", c);
}

static size_t encoded_length(struct str text)
{
	struct buf one = BUF(CHARACTER_MAX + 1);
	size_t n;

	for (size_t i = 0; i < text.n; i++)
		add_byte(&one, (unsigned char)text.p[i]);
	n = one.len;
	buf_free(&one);
	return n;
}

void encoded_word_add(struct str text, struct str charset, struct buf *out)
{
	const size_t room = WORD_MAX - WORD_FRAME - charset.n;
	size_t used = 0;

	buf_printf(out, "=?" STR_FMT "?Q?", STR_ARG(charset));
	while (text.n) {
		struct str one = str_first(text, character_length(text));
		size_t n = encoded_length(one);

		if (used + n > room) {
			buf_printf(out, "?=\r\n =?" STR_FMT "?Q?", STR_ARG(charset));
			used = 0;
		}
		for (size_t i = 0; i < one.n; i++)
			add_byte(out, (unsigned char)one.p[i]);
		used += n;
		text = str_from(text, one.n);
	}
	buf_puts(out, "?=");
}
