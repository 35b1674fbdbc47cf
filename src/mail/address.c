#include "mail/address.h"

#include "base/net.h"
#include "mail/address_token.h"
#include <ctype.h>

ptrdiff_t address_at(struct str internal)
{
	return str_rfind(internal, '@');
}

struct str address_local(struct str internal)
{
	ptrdiff_t at = address_at(internal);

	return at < 0 ? internal : str_first(internal, (size_t)at);
}

struct str address_domain(struct str internal)
{
	ptrdiff_t at = address_at(internal);

	return at < 0 ? (struct str){"", 0} : str_from(internal, (size_t)at + 1);
}

static bool valid_label(struct str label, bool *numeric)
{
	if (label.n == 0 || label.n > 63 || label.p[0] == '-' || label.p[label.n - 1] == '-')
		return false;
	for (size_t i = 0; i < label.n; i++) {
		unsigned char c = (unsigned char)label.p[i];

		if (!isalnum(c) && c != '-' && c != '_')
			return false;
		if (!isdigit(c))
			*numeric = false;
	}
	return true;
}

bool address_valid_hostname(struct str name)
{
	bool numeric = true;

	if (name.n == 0 || name.n > 255)
		return false;
	for (;;) {
		ptrdiff_t dot = str_find(name, '.');

		if (!valid_label(dot < 0 ? name : str_first(name, (size_t)dot), &numeric))
			return false;
		if (dot < 0)
			return !numeric;
		name = str_from(name, (size_t)dot + 1);
	}
}

static size_t hex_digits(struct str s)
{
	size_t n = 0;

	while (n < s.n && isxdigit((unsigned char)s.p[n]))
		n++;
	return n;
}

/* The form of an IPv6 address: up to eight groups, or fewer around one "::", an IPv4 address last counting as
 * two. How many groups there are without
 * "::" is not counted, as operators are used to; such an address simply has no host. */
static bool valid_ipv6_form(struct str s)
{
	bool gap = false, colon = true;
	size_t groups = 0;
	struct net_addr v4;

	if (str_starts(s, STR("::"))) {
		gap = true;
		s = str_from(s, 2);
	}
	while (s.n > 0) {
		size_t n = hex_digits(s);

		if (str_find(s, ':') < 0 && str_find(s, '.') >= 0)
			return groups > 0 && groups + 2 + gap <= 8 && net_parse_ip(s, 0, &v4);
		if (n == 0 || n > 4 || ++groups > 8)
			return false;
		s = str_from(s, n);
		colon = str_starts(s, STR(":"));
		if (s.n > 0 && !colon)
			return false;
		s = str_from(s, colon);
		if (colon && str_starts(s, STR(":"))) {
			if (gap)
				return false;
			gap = true;
			colon = false;
			s = str_from(s, 1);
		}
	}
	return gap ? groups < 8 && !(groups > 0 && colon) : groups > 1 && !colon;
}

bool address_valid_literal(struct str literal)
{
	struct net_addr addr;
	struct str inner;

	if (literal.n < 2 || literal.p[0] != '[' || literal.p[literal.n - 1] != ']')
		return false;
	inner = str_first(str_from(literal, 1), literal.n - 2);
	if (str_case_starts(inner, STR("IPv6:"))) {
		inner = str_from(inner, 5);
		return str_find(inner, ':') >= 0 && (net_parse_ip(inner, 0, &addr) || valid_ipv6_form(inner));
	}
	return str_find(inner, ':') < 0 && net_parse_ip(inner, 0, &addr);
}

bool address_valid_domain(struct str domain)
{
	return domain.n > 0 && domain.p[0] == '[' ? address_valid_literal(domain)
						  : address_valid_hostname(domain);
}

/* Local parts that are never split into user and extension. */
static const char *const unsplit_names[] = {"mailer-daemon", "double-bounce"};

/* With '-' as delimiter, owner-list and list-request are names of their own. */
static bool is_list_name(struct str local, const char *delimiters)
{
	return strchr(delimiters, '-') &&
	       (str_case_starts(local, STR("owner-")) ||
		       (local.n > 8 && str_case_eq(str_from(local, local.n - 8), STR("-request"))));
}

ptrdiff_t address_extension_of_any(struct str local, const char *delimiters)
{
	if (!delimiters || !*delimiters)
		return -1;
	for (size_t i = 0; i < sizeof(unsplit_names) / sizeof(unsplit_names[0]); i++)
		if (str_case_is(local, unsplit_names[i]))
			return -1;
	for (size_t i = 1; i < local.n; i++)
		if (local.p[i] && strchr(delimiters, local.p[i]))
			return (ptrdiff_t)i;
	return -1;
}

ptrdiff_t address_extension(struct str local, const char *delimiters)
{
	if (!delimiters || is_list_name(local, delimiters))
		return -1;
	return address_extension_of_any(local, delimiters);
}

static bool is_atext(unsigned char c)
{
	return c > ' ' && c != 0x7f && !strchr("()<>[]:;@\\,.\"", c);
}

/* RFC 5321 Dot-string, with bytes >= 0x80 allowed (RFC 6531). */
static bool is_dot_string(struct str s)
{
	bool after_dot = true;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.') {
			if (after_dot)
				return false;
			after_dot = true;
		} else if (is_atext((unsigned char)s.p[i])) {
			after_dot = false;
		} else {
			return false;
		}
	}
	return !after_dot;
}

bool address_quote(struct str internal, struct buf *external)
{
	struct str local = address_local(internal);
	struct str tail = str_from(internal, local.n);

	if (internal.n == 0 || (local.n > 0 && is_dot_string(local)))
		return buf_str(external, internal);
	buf_putc(external, '"');
	for (size_t i = 0; i < local.n; i++) {
		if (local.p[i] == '"' || local.p[i] == '\\')
			buf_putc(external, '\\');
		buf_putc(external, local.p[i]);
	}
	buf_putc(external, '"');
	return buf_str(external, tail);
}

void address_unquote(struct str external, struct buf *internal)
{
	struct address_tokens tokens;

	address_tokenize(external, SIZE_MAX, &tokens);
	address_tokens_text(tokens.list, tokens.count, internal);
	address_tokens_free(&tokens);
}

bool xtext_decode(struct str in, struct buf *out)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < in.n; i++) {
		unsigned char c = (unsigned char)in.p[i];

		if (c == '+') {
			const char *hi = i + 2 < in.n && in.p[i + 1] ? strchr(hex, in.p[i + 1]) : NULL;
			const char *lo = i + 2 < in.n && in.p[i + 2] ? strchr(hex, in.p[i + 2]) : NULL;

			if (!hi || !lo)
				return false;
			c = (unsigned char)((hi - hex) * 16 + (lo - hex));
			if (c == '\0' || c == '\r' || c == '\n')
				return false;
			i += 2;
		} else if (c < '!' || c == 0x7f) {
			return false;
		}
		if (!buf_putc(out, (char)c))
			return false;
	}
	return true;
}

void xtext_encode(struct str in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		unsigned char c = (unsigned char)in.p[i];

		if (c < '!' || c > '~' || c == '+' || c == '=')
			buf_printf(out, "+%02X", c);
		else
			buf_putc(out, (char)c);
	}
}
