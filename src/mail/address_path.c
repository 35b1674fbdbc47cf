/* Paths of MAIL FROM and RCPT TO (RFC 5321 section 4.1.2), strict or as liberal as operators are used to. */
#include "base/mem.h"
#include "base/net.h"
#include "base/utf8.h"
#include "mail/address.h"
#include "mail/address_token.h"
#include <idn2.h>

/* Length of the path at the start of s: it ends at a blank outside quotes and < >. */
static size_t path_length(struct str s)
{
	int depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (quoted)
			continue;
		else if (c == '<')
			depth++;
		else if (c == '>' && --depth <= 0)
			return i + 1;
		else if ((c == ' ' || c == '\t') && depth <= 0)
			return i;
	}
	return s.n;
}

/* Whether the byte at `at` has a backslash of its own before it. */
static bool is_escaped(struct str s, size_t at)
{
	size_t slashes = 0;

	while (slashes < at && s.p[at - 1 - slashes] == '\\')
		slashes++;
	return slashes % 2 == 1;
}

/* Takes the outer < > off; false where strictness or balance forbids what is there. */
static bool path_unwrap(struct str *path, bool strict)
{
	bool open = path->n > 0 && path->p[0] == '<';

	if (!open)
		return !strict;
	if (path->n < 2 || path->p[path->n - 1] != '>' || is_escaped(*path, path->n - 1))
		return false;
	*path = str_first(str_from(*path, 1), path->n - 2);
	return true;
}

/* "phrase <address>": keeps the tokens of the address. */
static bool path_select_angle(const struct address_tokens *t, bool strict, size_t *from, size_t *to)
{
	size_t open = SIZE_MAX;

	for (size_t i = *from; i < *to; i++) {
		if (address_token_is(&t->list[i], '<')) {
			open = i;
		} else if (address_token_is(&t->list[i], '>')) {
			if (open == SIZE_MAX || strict || i + 1 != *to)
				return false;
			*from = open + 1;
			*to = i;
			return true;
		}
	}
	return open == SIZE_MAX;
}

/* "@a,@b:user@c": skips the route. */
static bool path_skip_route(const struct address_tokens *t, size_t *from, size_t to)
{
	if (*from >= to || !address_token_is(&t->list[*from], '@'))
		return true;
	for (size_t i = *from; i < to; i++) {
		if (address_token_is(&t->list[i], ':')) {
			*from = i + 1;
			return *from < to;
		}
	}
	return false;
}

static bool is_word(const struct address_token *t)
{
	return t->type == TOKEN_ATOM || t->type == TOKEN_QUOTED;
}

/* local-part [ "@" domain ]: words and dots; two words never touch. */
static bool path_mailbox(const struct address_tokens *t, size_t from, size_t to, struct buf *out)
{
	bool after_word = false;

	for (size_t i = from; i < to; i++) {
		const struct address_token *token = &t->list[i];
		bool word = is_word(token) || token->type == TOKEN_LITERAL;

		if (word && after_word)
			return false;
		if (token->type == TOKEN_LITERAL && (i == from || !address_token_is(&t->list[i - 1], '@')))
			return false;
		if (token->type == TOKEN_SPECIAL && !address_token_is(token, '.') &&
			!address_token_is(token, '@'))
			return false;
		if (address_token_is(token, '@') && i == from)
			return false;
		after_word = word;
		address_token_text(token, out);
	}
	return true;
}

static bool path_has_empty_quotes(const struct address_tokens *t, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (t->list[i].type == TOKEN_QUOTED && t->list[i].text.n == 0)
			return true;
	return false;
}

/* An internationalised domain is valid when it has an A-label form (RFC 5891). */
static bool valid_utf8_domain(struct str domain)
{
	char *name = x_strndup(domain.p, domain.n), *ascii = NULL;
	bool ok = idn2_to_ascii_8z(name, &ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT) == IDN2_OK &&
		  address_valid_hostname(str_c(ascii));

	idn2_free(ascii);
	x_free(&name);
	return ok;
}

static bool path_check_domain(struct str domain, int flags, struct err *err)
{
	struct net_addr addr;

	/* The root's dot is no part of the name (RFC 1034 section 3.1). */
	if (domain.n > 1 && domain.p[domain.n - 1] == '.')
		domain.n--;
	if ((flags & PATH_NULL_DOMAIN) && domain.n == 0)
		return true;
	if ((flags & PATH_NUMERIC) && str_find(domain, ':') < 0 && net_parse_ip(domain, 0, &addr))
		return true;
	if ((flags & PATH_UTF8) && address_has_8bit(domain))
		return valid_utf8_domain(domain) || err_set(err, "invalid domain name");
	return address_valid_domain(domain) || err_set(err, "invalid domain name");
}

static bool path_check(struct str internal, int flags, struct err *err)
{
	if (internal.n == 0)
		return (flags & PATH_NULL_OK) || err_set(err, "empty address");
	if (internal.n > ADDRESS_MAX)
		return err_set(err, "address too long");
	if (str_has_nul(internal) || str_find(internal, '\r') >= 0 || str_find(internal, '\n') >= 0)
		return err_set(err, "NUL or line break in address");
	if ((flags & PATH_UTF8) && !utf8_valid(internal))
		return err_set(err, "address is not valid UTF-8");
	if (!(flags & PATH_UTF8) && (flags & PATH_STRICT) && address_has_8bit(internal))
		return err_set(err, "8-bit address without SMTPUTF8");
	return address_at(internal) < 0 || path_check_domain(address_domain(internal), flags, err);
}

bool address_parse_path(struct str *rest, int flags, struct buf *internal, struct err *err)
{
	bool strict = flags & PATH_STRICT, ok;
	struct address_tokens tokens;
	struct str text = *rest;
	size_t from = 0, to;

	while (text.n > 0 && (text.p[0] == ' ' || text.p[0] == '\t'))
		text = str_from(text, 1);
	struct str path = str_first(text, path_length(text));
	*rest = str_from(text, path.n);
	if (path.n == 0)
		return err_set(err, "address expected");
	if (!path_unwrap(&path, strict))
		return err_set(err, "unbalanced or missing < >");
	if (!address_tokenize(path, strict, &tokens))
		return err_set(err, "unbalanced quotes or comment in address");
	to = tokens.count;
	ok = path_select_angle(&tokens, strict, &from, &to) && path_skip_route(&tokens, &from, to) &&
	     !(strict && path_has_empty_quotes(&tokens, from, to)) &&
	     path_mailbox(&tokens, from, to, internal);
	address_tokens_free(&tokens);
	if (!ok)
		return err_set(err, "malformed address");
	return path_check(buf_slice(internal), flags, err);
}
