#include "base/utf8.h"

size_t utf8_sequence(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t n;

	if (s.n == 0)
		return 0;
	n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
	if (n > s.n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
		(p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

bool utf8_valid(struct str s)
{
	size_t n;

	for (; s.n > 0; s = str_from(s, n)) {
		n = utf8_sequence(s);
		if (n == 0)
			return false;
	}
	return true;
}

/* U+0080 to U+009F: some terminals obey them. */
static bool is_c1(struct str s)
{
	return s.n > 1 && (unsigned char)s.p[0] == 0xc2 && (unsigned char)s.p[1] < 0xa0;
}

/* Length of the printable ASCII at the start, or somewhat less: most text is nothing else. */
static size_t plain_length(const char *text, size_t n)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	size_t i = 0;

	for (; n - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, text + i, sizeof(word));
		if ((word | (word - ones * ' ') | (word + ones)) & ones * 0x80)
			break;
	}
	return i;
}

void utf8_hide_controls(char *text, size_t n, char instead)
{
	size_t length = plain_length(text, n);

	for (text += length, n -= length; n > 0; text += length, n -= length) {
		struct str rest = {text, n};

		length = utf8_sequence(rest);
		if (length > 1 ? !is_c1(rest) : length == 1 && !ascii_is_control(*text))
			continue;
		length = length ? length : 1;
		memset(text, instead, length);
	}
}

void utf8_put_json(struct buf *out, struct str text)
{
	buf_putc(out, '"');
	while (text.n > 0) {
		char c = text.p[0];
		size_t n = utf8_sequence(text);

		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (ascii_is_control(c))
			buf_printf(out, "\\u%04x", (unsigned char)c);
		else if (is_c1(text))
			buf_printf(out, "\\u%04x", (unsigned char)text.p[1]);
		else if (n == 0)
			buf_puts(out, "\xef\xbf\xbd");
		else
			buf_str(out, str_first(text, n));
		text = str_from(text, n ? n : 1);
	}
	buf_putc(out, '"');
}
