#include "mail/address_token.h"

#include "base/mem.h"

#define TOKEN_BLANKS " \t\r\n"

bool address_token_is(const struct address_token *token, char special)
{
	return token->type == TOKEN_SPECIAL && token->text.p[0] == special;
}

bool address_token_is_word(const struct address_token *token)
{
	return token->type == TOKEN_ATOM || token->type == TOKEN_QUOTED || token->type == TOKEN_LITERAL;
}

void address_tokens_free(struct address_tokens *tokens)
{
	x_free(&tokens->list);
	tokens->count = tokens->cap = 0;
}

static void token_add(struct address_tokens *t, enum address_token_type type, struct str text)
{
	if (t->count == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 16;
		t->list = x_realloc(t->list, t->cap * sizeof(*t->list));
	}
	t->list[t->count++] = (struct address_token){type, text};
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

/* Length of the text in front of the closing byte, or of all of it. */
static size_t enclosed_length(struct str s, char close)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == close)
			return i;
	}
	return s.n;
}

static bool is_one_of(char c, const char *set)
{
	return c && strchr(set, c);
}

/* The specials, the blanks and the quote. */
static bool ends_atom(char c)
{
	static const bool ends[256] = {['('] = true,
		[')'] = true,
		['<'] = true,
		['>'] = true,
		['['] = true,
		[']'] = true,
		[':'] = true,
		[';'] = true,
		['@'] = true,
		[','] = true,
		['.'] = true,
		['|'] = true,
		['%'] = true,
		['!'] = true,
		[' '] = true,
		['\t'] = true,
		['\r'] = true,
		['\n'] = true,
		['"'] = true};

	return ends[(unsigned char)c];
}

/* Takes an atom off the front. Marks that it has behind backslashes must not be taken for marks again. */
static size_t take_atom(struct str s, struct address_tokens *out)
{
	enum address_token_type type = TOKEN_ATOM;
	size_t i = 0;

	for (; i < s.n && !ends_atom(s.p[i]); i++) {
		bool escape = s.p[i] == '\\' && (i + 1 < s.n || i == 0);

		i += escape;
		if (i == s.n)
			type = TOKEN_QUOTED;
		else if (ascii_is_control(s.p[i]) || (escape && (s.p[i] == '\\' || ends_atom(s.p[i]))))
			type = TOKEN_QUOTED;
	}
	i = i < s.n ? i : s.n;
	token_add(out, type, str_first(s, i));
	return i;
}

static size_t take_enclosed(
	struct str s, enum address_token_type type, char close, struct address_tokens *out)
{
	struct str inner = str_from(s, 1);
	size_t n = enclosed_length(inner, close);

	token_add(out, type, str_first(inner, n));
	if (type == TOKEN_QUOTED && n == inner.n)
		out->open_quote = true;
	return n == inner.n ? s.n : n + 2;
}

/* Takes one token off the front, or a blank. */
static size_t token_take(struct str s, struct address_tokens *out)
{
	size_t n;

	if (is_one_of(s.p[0], TOKEN_BLANKS))
		return 1;
	switch (s.p[0]) {
	case '(':
		n = comment_length(s);
		token_add(out, TOKEN_COMMENT, str_first(s, n));
		return n;
	case '"':
		return take_enclosed(s, TOKEN_QUOTED, '"', out);
	case '[':
		return take_enclosed(s, TOKEN_LITERAL, ']', out);
	default:
		if (!ends_atom(s.p[0]))
			return take_atom(s, out);
		token_add(out, TOKEN_SPECIAL, str_first(s, 1));
		return 1;
	}
}

void address_tokenize(struct str in, size_t max, struct address_tokens *out)
{
	*out = (struct address_tokens){0};
	while (in.n > 0 && out->count < max)
		in = str_from(in, token_take(in, out));
}

/* Line ends and other `blanks` become spaces. */
static void add_byte(char c, const char *blanks, struct buf *out)
{
	if (c != '\r')
		buf_putc(out, is_one_of(c, blanks) ? ' ' : c);
}

/* Length of what add_plain copies as it is. */
static size_t plain_length(struct str s)
{
	size_t n = 0;

	while (n < s.n && !ascii_is_control(s.p[n]) && s.p[n] != '\\' && s.p[n] != '"')
		n++;
	return n;
}

/* Without backslashes; with `quoted`, quotes and backslashes that are meant get one. */
static void add_plain(struct str s, bool quoted, struct buf *out)
{
	for (;;) {
		size_t n = plain_length(s);

		buf_str(out, str_first(s, n));
		s = str_from(s, n);
		if (s.n > 0 && s.p[0] == '\\')
			s = str_from(s, 1);
		if (s.n == 0)
			return;
		if (quoted && (s.p[0] == '"' || s.p[0] == '\\'))
			buf_putc(out, '\\');
		add_byte(s.p[0], "\n\t", out);
		s = str_from(s, 1);
	}
}

void address_token_text(const struct address_token *token, struct buf *out)
{
	if (token->type == TOKEN_COMMENT) {
		for (size_t i = 0; i < token->text.n; i++)
			add_byte(token->text.p[i], "\n", out);
		return;
	}
	if (token->type == TOKEN_LITERAL)
		buf_putc(out, '[');
	add_plain(token->text, false, out);
	if (token->type == TOKEN_LITERAL)
		buf_putc(out, ']');
}

void address_token_write(const struct address_token *token, struct buf *out)
{
	if (token->type != TOKEN_QUOTED) {
		address_token_text(token, out);
		return;
	}
	buf_putc(out, '"');
	add_plain(token->text, true, out);
	buf_putc(out, '"');
}

void address_skip_route(const struct address_token **tokens, size_t *count)
{
	size_t i = 0;

	if (*count == 0 || !address_token_is(*tokens, '@'))
		return;
	for (; i < *count; i++) {
		if (address_token_is(&(*tokens)[i], ':')) {
			*tokens += i + 1;
			*count -= i + 1;
			address_skip_route(tokens, count);
			return;
		}
	}
}

/* Whether a blank keeps the two apart in an address that was read. */
static bool are_apart(const struct address_token *a, const struct address_token *b)
{
	if (address_token_is(b, '<'))
		return !address_token_is(a, ',');
	return address_token_is_word(a) && address_token_is_word(b) &&
	       (a->type != TOKEN_ATOM || b->type != TOKEN_ATOM);
}

static const struct address_token *next_but_comments(const struct address_token *t, size_t *count)
{
	while (*count > 0 && t->type == TOKEN_COMMENT) {
		t++;
		--*count;
	}
	return *count > 0 ? t : NULL;
}

static void tokens_join(const struct address_token *tokens, size_t count,
	void (*add)(const struct address_token *, struct buf *), struct buf *out)
{
	const struct address_token *before = NULL, *t;

	while ((t = next_but_comments(tokens, &count))) {
		if (before && add == address_token_text && are_apart(before, t))
			buf_putc(out, ' ');
		add(t, out);
		if (address_token_is(t, ','))
			buf_putc(out, ' ');
		before = t;
		tokens = t + 1;
		count--;
	}
}

void address_tokens_text(const struct address_token *tokens, size_t count, struct buf *out)
{
	tokens_join(tokens, count, address_token_text, out);
}

void address_tokens_write(const struct address_token *tokens, size_t count, struct buf *out)
{
	tokens_join(tokens, count, address_token_write, out);
}
