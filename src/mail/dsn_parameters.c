#include "mail/dsn_parameters.h"

#include "base/utf8.h"
#include "mail/address.h"
#include <ctype.h>

#define ENVID_MAX 500 /* bytes as said; RFC 3461 section 4.4 promises 100 */
#define ORCPT_MAX 1000

bool dsn_parse_ret(struct str value, enum dsn_ret *out)
{
	if (str_case_is(value, "FULL"))
		*out = RET_FULL;
	else if (str_case_is(value, "HDRS"))
		*out = RET_HDRS;
	else
		return false;
	return true;
}

bool dsn_parse_envid(struct str value, struct buf *out)
{
	return value.n > 0 && value.n <= ENVID_MAX && xtext_decode(value, out);
}

static bool add_utf8(struct buf *out, uint32_t c)
{
	if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) || c == '\r' || c == '\n')
		return false;
	if (c < 0x80)
		return buf_putc(out, (char)c);
	if (c < 0x800)
		return buf_putc(out, (char)(0xc0 | c >> 6)) && buf_putc(out, (char)(0x80 | (c & 0x3f)));
	if (c < 0x10000)
		return buf_putc(out, (char)(0xe0 | c >> 12)) &&
		       buf_putc(out, (char)(0x80 | (c >> 6 & 0x3f))) &&
		       buf_putc(out, (char)(0x80 | (c & 0x3f)));
	return buf_putc(out, (char)(0xf0 | c >> 18)) && buf_putc(out, (char)(0x80 | (c >> 12 & 0x3f))) &&
	       buf_putc(out, (char)(0x80 | (c >> 6 & 0x3f))) && buf_putc(out, (char)(0x80 | (c & 0x3f)));
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "\x{1F600}" at the start of in: its length, or 0. */
static size_t unitext_escape(struct str in, uint32_t *c)
{
	size_t i = 3;

	if (in.n < 5 || in.p[1] != 'x' || in.p[2] != '{')
		return 0;
	*c = 0;
	for (; i < in.n && hex_digit(in.p[i]) >= 0 && i < 9; i++)
		*c = *c * 16 + (uint32_t)hex_digit(in.p[i]);
	return i > 3 && i < in.n && in.p[i] == '}' ? i + 1 : 0;
}

static bool unitext_decode(struct str in, struct buf *out)
{
	while (in.n > 0) {
		size_t used = 1;
		uint32_t c;

		if (in.p[0] == '\\') {
			used = unitext_escape(in, &c);
			if (used == 0 || !add_utf8(out, c))
				return false;
		} else if ((unsigned char)in.p[0] <= ' ' || in.p[0] == 0x7f || !buf_putc(out, in.p[0])) {
			return false;
		}
		in = str_from(in, used);
	}
	return utf8_valid(buf_slice(out));
}

static bool is_type(struct str type)
{
	for (size_t i = 0; i < type.n; i++)
		if (!isalnum((unsigned char)type.p[i]) && type.p[i] != '-')
			return false;
	return type.n > 0;
}

bool dsn_parse_orcpt(struct str value, struct buf *out)
{
	ptrdiff_t semicolon = str_find(value, ';');
	struct str type, address;

	if (semicolon <= 0 || value.n > ORCPT_MAX)
		return false;
	type = str_first(value, (size_t)semicolon);
	address = str_from(value, (size_t)semicolon + 1);
	if (!is_type(type) || !buf_str(out, type) || !buf_putc(out, ';'))
		return false;
	if (str_case_is(type, "utf-8"))
		return unitext_decode(address, out);
	return xtext_decode(address, out);
}
