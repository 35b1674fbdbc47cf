#include "mail/header_addresses.h"

#include "mail/address.h"
#include "mail/address_token.h"

struct splice {
	header_map_fn map;
	void *arg;
	struct str value; /* the field's body */
	size_t copied;	  /* bytes of it that are in out */
	struct buf *out;
	bool changed;
};

static size_t token_start(const struct splice *s, const struct address_token *t)
{
	return (size_t)(t->text.p - s->value.p) - (t->type == TOKEN_QUOTED);
}

static size_t token_end(const struct splice *s, const struct address_token *t)
{
	size_t end = (size_t)(t->text.p - s->value.p) + t->text.n;

	return t->type == TOKEN_QUOTED && t->closed ? end + 1 : end;
}

/* As it stands there, without blanks and comments. */
static void standing_form(
	const struct splice *s, const struct address_token *tokens, size_t count, struct buf *out)
{
	for (size_t i = 0; i < count; i++) {
		size_t start = token_start(s, &tokens[i]);

		buf_str(out, str_first(str_from(s->value, start), token_end(s, &tokens[i]) - start));
	}
}

static void replace_text(struct splice *s, size_t start, size_t end, struct str text, bool comma)
{
	buf_str(s->out, str_first(str_from(s->value, s->copied), start - s->copied));
	buf_str(s->out, text);
	if (comma)
		buf_putc(s->out, ',');
	if (comma && end < s->value.n && !strchr(" \t\r\n", s->value.p[end]))
		buf_putc(s->out, ' ');
	s->copied = end;
	s->changed = true;
}

/* Asks what the address becomes; false: give up. */
static bool map_tokens(
	struct splice *s, const struct address_token *tokens, size_t count, struct buf *external)
{
	struct buf internal = BUF(4 * ADDRESS_MAX), mapped = BUF(4 * ADDRESS_MAX);
	bool has_domain = false, ok;

	for (size_t i = 0; i < count; i++) {
		address_token_text(&tokens[i], &internal);
		has_domain = has_domain || address_token_is(&tokens[i], '@');
	}
	ok = s->map(s->arg, buf_slice(&internal), has_domain, &mapped);
	if (mapped.len && mapped.data[0] == '@')
		buf_puts(external, "\"\"");
	if (mapped.len)
		address_quote(buf_slice(&mapped), external);
	external->over = external->over || internal.over || mapped.over;
	buf_free(&internal);
	buf_free(&mapped);
	return ok;
}

/* The tokens are one address; comma: another one stands beside it without a comma. */
static bool rewrite_one(struct splice *s, const struct address_token *tokens, size_t count, bool comma)
{
	struct buf given = BUF(8 * ADDRESS_MAX), external = BUF(8 * ADDRESS_MAX);
	bool ok = map_tokens(s, tokens, count, &external);

	standing_form(s, tokens, count, &given);
	if (ok && external.len && !given.over && !external.over &&
		(comma || !str_eq(buf_slice(&given), buf_slice(&external))))
		replace_text(s, token_start(s, &tokens[0]), token_end(s, &tokens[count - 1]),
			buf_slice(&external), comma);
	buf_free(&given);
	buf_free(&external);
	return ok;
}

static bool is_connector(const struct address_token *t)
{
	return address_token_is(t, '.') || address_token_is(t, '@');
}

/* Addresses between two commas: one, or several side by side. */
static bool rewrite_run(struct splice *s, const struct address_token *tokens, size_t count)
{
	size_t first = 0;

	if (count == 0)
		return true;
	for (size_t i = 1; i <= count; i++) {
		if (i < count && (is_connector(&tokens[i - 1]) || is_connector(&tokens[i])))
			continue;
		if (!rewrite_one(s, &tokens[first], i - first, i < count))
			return false;
		first = i;
	}
	return true;
}

static void drop_text(struct splice *s, size_t start, size_t end)
{
	buf_str(s->out, str_first(str_from(s->value, s->copied), start - s->copied));
	s->copied = end;
	s->changed = true;
}

/* < >: one address, possibly behind a source route. A list in there makes no sense and is left as it is. */
static bool rewrite_angle(struct splice *s, const struct address_token *tokens, size_t count)
{
	size_t first = 0;

	for (size_t i = 0; i < count; i++) {
		if (address_token_is(&tokens[i], ':'))
			first = i + 1;
	}
	for (size_t i = first; i < count; i++) {
		if (tokens[i].type == TOKEN_SPECIAL && !is_connector(&tokens[i]))
			return true;
	}
	if (first > 0 && first < count)
		drop_text(s, token_start(s, &tokens[0]), token_start(s, &tokens[first]));
	return first == count || rewrite_one(s, &tokens[first], count - first, false);
}

/* What stands before a colon, which is tokens[count]: the name of a group, or a source route. */
static void drop_route(struct splice *s, const struct address_token *tokens, size_t count)
{
	if (count > 0 && address_token_is(&tokens[0], '@'))
		drop_text(s, token_start(s, &tokens[0]), token_end(s, &tokens[count]));
}

static bool rewrite_tokens(struct splice *s, const struct address_token *tokens, size_t count)
{
	size_t first = 0;
	bool angle = false, ok = true;

	for (size_t i = 0; ok && i < count; i++) {
		if (tokens[i].type != TOKEN_SPECIAL || is_connector(&tokens[i]))
			continue;
		if (address_token_is(&tokens[i], '<'))
			angle = true;
		else if (angle && !address_token_is(&tokens[i], '>'))
			continue;
		else if (angle)
			ok = rewrite_angle(s, &tokens[first], i - first);
		else if (address_token_is(&tokens[i], ':'))
			drop_route(s, &tokens[first], i - first);
		else if (!address_token_is(&tokens[i], '>'))
			ok = rewrite_run(s, &tokens[first], i - first);
		angle = address_token_is(&tokens[i], '<');
		first = i + 1;
	}
	return ok && (angle || rewrite_run(s, &tokens[first], count - first));
}

enum header_change header_addresses_map(
	struct str value, size_t max_tokens, header_map_fn map, void *arg, struct buf *out)
{
	struct splice s = {.map = map, .arg = arg, .value = value, .out = out};
	struct address_tokens tokens = {0};
	bool ok = true;

	if (address_tokenize(value, false, &tokens) && tokens.count > 0)
		ok = rewrite_tokens(&s, tokens.list, tokens.count < max_tokens ? tokens.count : max_tokens);
	address_tokens_free(&tokens);
	if (!ok)
		return HEADER_GIVEN_UP;
	if (!s.changed)
		return HEADER_SAME;
	buf_str(out, str_from(value, s.copied));
	return HEADER_CHANGED;
}

bool header_has_addresses(struct str name)
{
	static const char *const names[] = {"apparently-to", "bcc", "cc", "disposition-notification-to",
		"errors-to", "from", "mail-followup-to", "reply-to", "resent-bcc", "resent-cc", "resent-from",
		"resent-reply-to", "resent-sender", "resent-to", "return-path", "return-receipt-to", "sender",
		"to"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (str_case_is(name, names[i]))
			return true;
	}
	return false;
}

size_t header_name_length(struct str line)
{
	size_t name = 0, end;

	while (name < line.n && line.p[name] > ' ' && line.p[name] < 127 && line.p[name] != ':')
		name++;
	end = name;
	while (end < line.n && (line.p[end] == ' ' || line.p[end] == '\t'))
		end++;
	return end < line.n && line.p[end] == ':' ? name : 0;
}
