/*
 * Addresses in header fields: each one is rewritten where it stands, the text around it (names, comments,
 * folds) stays as the sender made it.
 */
#include "base/mem.h"
#include "cleanup/cleanup_private.h"
#include "mail/address.h"
#include "mail/address_token.h"

struct splice {
	struct cleanup *c;
	int class;
	bool local;	  /* the rewriting context */
	struct str value; /* the field's body */
	size_t copied;	  /* bytes of it that are in out */
	struct buf out;
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

/* The internal form. A quoted "user@site" without domain gets one here, or its inside would be taken for one.
 */
static void internal_form(
	const struct splice *s, const struct address_token *tokens, size_t count, struct buf *out)
{
	const struct config *cfg = s->c->env->cfg;
	const char *origin = s->local ? cfg->myorigin : cfg->remote_header_rewrite_domain;
	bool has_domain = false;

	for (size_t i = 0; i < count; i++) {
		address_token_text(&tokens[i], out);
		has_domain = has_domain || address_token_is(&tokens[i], '@');
	}
	if (!has_domain && cfg->append_at_myorigin && origin[0] && str_find(buf_slice(out), '@') >= 0)
		buf_printf(out, "@%s", origin);
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
	buf_str(&s->out, str_first(str_from(s->value, s->copied), start - s->copied));
	buf_str(&s->out, text);
	if (comma)
		buf_putc(&s->out, ',');
	if (comma && end < s->value.n && !strchr(" \t\r\n", s->value.p[end]))
		buf_putc(&s->out, ' ');
	s->copied = end;
	s->changed = true;
}

/* The tokens are one address; comma: another one stands beside it without a comma. */
static bool rewrite_one(struct splice *s, const struct address_token *tokens, size_t count, bool comma)
{
	struct buf given = BUF(8 * ADDRESS_MAX), internal = BUF(4 * ADDRESS_MAX);
	struct buf mapped = BUF(4 * ADDRESS_MAX), external = BUF(8 * ADDRESS_MAX);
	bool ok;

	standing_form(s, tokens, count, &given);
	internal_form(s, tokens, count, &internal);
	rewrite_address(s->c->env->resolver, s->local, buf_slice(&internal), &mapped);
	ok = cleanup_map_address(s->c, s->class, &mapped);
	if (mapped.len && mapped.data[0] == '@')
		buf_puts(&external, "\"\"");
	address_quote(buf_slice(&mapped), &external);
	if (ok && !given.over && !internal.over && !external.over &&
		(comma || !str_eq(buf_slice(&given), buf_slice(&external))))
		replace_text(s, token_start(s, &tokens[0]), token_end(s, &tokens[count - 1]),
			buf_slice(&external), comma);
	buf_free(&given);
	buf_free(&internal);
	buf_free(&mapped);
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
	buf_str(&s->out, str_first(str_from(s->value, s->copied), start - s->copied));
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
	if (first > 0 && first < count) {
		buf_str(&s->out,
			str_first(str_from(s->value, s->copied), token_start(s, &tokens[0]) - s->copied));
		s->copied = token_start(s, &tokens[first]);
		s->changed = true;
	}
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

static void replace_value(struct splice *s)
{
	struct cleanup *c = s->c;
	size_t start = (size_t)(s->value.p - c->header.data);

	buf_str(&s->out, str_from(s->value, s->copied));
	if (s->out.over)
		return;
	buf_truncate(&c->header, start);
	buf_str(&c->header, buf_slice(&s->out));
}

bool cleanup_rewrite_header(struct cleanup *c, int class, struct str value)
{
	const struct config *cfg = c->env->cfg;
	struct splice s = {.c = c, .class = class, .local = c->options.local_rewrite, .value = value};
	struct address_tokens tokens = {0};
	bool ok;

	if (!s.local && !cfg->remote_header_rewrite_domain[0])
		return true;
	if (!address_tokenize(value, false, &tokens) || tokens.count == 0) {
		address_tokens_free(&tokens);
		return true;
	}
	if (tokens.count > (size_t)cfg->header_address_token_limit)
		tokens.count = (size_t)cfg->header_address_token_limit;
	buf_init(&s.out, c->header.max);
	ok = rewrite_tokens(&s, tokens.list, tokens.count);
	if (ok && s.changed)
		replace_value(&s);
	buf_free(&s.out);
	address_tokens_free(&tokens);
	return ok;
}
