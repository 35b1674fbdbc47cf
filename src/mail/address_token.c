#include "mail/address_token.h"

#include "base/mem.h"

#define TOKEN_SPECIALS ".@,:;<>"

bool address_token_is(const struct address_token *token, char special)
{
	return token->type == TOKEN_SPECIAL && token->text.p[0] == special;
}

void address_tokens_free(struct address_tokens *tokens)
{
	x_free(&tokens->list);
	tokens->count = tokens->cap = 0;
}

static void token_add(struct address_tokens *t, enum address_token_type type, struct str text, bool closed)
{
	if (t->count == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 16;
		t->list = x_realloc(t->list, t->cap * sizeof(*t->list));
	}
	t->list[t->count++] = (struct address_token){type, text, closed};
}

/* Length of a comment at the start of s, nested ones included; an open one reaches to the end. */
static size_t comment_length(struct str s)
{
	size_t depth = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '(')
			depth++;
		else if (s.p[i] == ')' && --depth == 0)
			return i + 1;
	}
	return s.n;
}

/* Length of text that starts with an opening byte, up to and with the closing one; *closed tells whether it
 * was there. */
static size_t enclosed_length(struct str s, char close, bool *closed)
{
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '\\') {
			i++;
		} else if (s.p[i] == close) {
			*closed = true;
			return i + 1;
		}
	}
	*closed = false;
	return s.n;
}

static size_t atom_length(struct str s)
{
	size_t i = 0;

	while (i < s.n && s.p[i] && !strchr(TOKEN_SPECIALS " \t\r\n\"[(", s.p[i]))
		i += s.p[i] == '\\' && i + 1 < s.n ? 2 : 1;
	return i;
}

/* Takes one token off the front; 0: error. */
static size_t token_take(struct str s, bool strict, struct address_tokens *out)
{
	bool closed = true;
	size_t n;

	switch (s.p[0]) {
	case ' ':
	case '\t':
	case '\r':
	case '\n':
		return 1;
	case '(':
		return strict ? 0 : comment_length(s);
	case '"':
		n = enclosed_length(s, '"', &closed);
		if (!closed)
			return 0;
		token_add(out, TOKEN_QUOTED, str_first(str_from(s, 1), n - 2), true);
		return n;
	case '[':
		n = enclosed_length(s, ']', &closed);
		token_add(out, TOKEN_LITERAL, str_first(s, n), closed);
		return n;
	default:
		if (s.p[0] && strchr(TOKEN_SPECIALS, s.p[0])) {
			token_add(out, TOKEN_SPECIAL, str_first(s, 1), true);
			return 1;
		}
		n = atom_length(s);
		if (n > 0)
			token_add(out, TOKEN_ATOM, str_first(s, n), true);
		return n;
	}
}

bool address_tokenize(struct str in, bool strict, struct address_tokens *out)
{
	*out = (struct address_tokens){0};
	while (in.n > 0) {
		size_t n = token_take(in, strict, out);

		if (n == 0) {
			address_tokens_free(out);
			return false;
		}
		in = str_from(in, n);
	}
	return true;
}

void address_token_text(const struct address_token *token, struct buf *out)
{
	struct str s = token->text;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\' && i + 1 < s.n)
			i++;
		buf_putc(out, s.p[i]);
	}
	if (token->type == TOKEN_LITERAL && !token->closed)
		buf_putc(out, ']');
}
