#include "mail/mime.h"

#include "base/mem.h"

#define BLANKS " \t\r\n"
#define SPECIALS "()<>@,;:\\\"/[]?=" /* RFC 2045 section 5.1 */

enum type {
	TYPE_TEXT,
	TYPE_RFC822,   /* message/rfc822 */
	TYPE_GLOBAL,   /* message/global (RFC 6532): may be encoded */
	TYPE_FRAGMENT, /* message/partial, message/external-body: only ever 7bit */
	TYPE_MESSAGE,  /* message/ something else: opaque */
	TYPE_MULTIPART
};

struct boundary {
	struct boundary *outer;
	bool digest; /* parts are messages unless they say otherwise (RFC 2046 section 5.1.5) */
	struct str text;
};

struct mime {
	struct mime_options options;
	enum mime_section section;
	enum type type; /* by the headers of the present section */
	enum mime_encoding encoding;
	struct boundary *innermost;
	int depth;
};

static const char *const encoding_names[] = {
	[MIME_7BIT] = "7bit",
	[MIME_8BIT] = "8bit",
	[MIME_BINARY] = "binary",
	[MIME_QUOTED_PRINTABLE] = "quoted-printable",
	[MIME_BASE64] = "base64",
};

const char *mime_encoding_name(enum mime_encoding encoding)
{
	return encoding_names[encoding];
}

struct mime *mime_new(const struct mime_options *options)
{
	struct mime *m = x_alloc(sizeof(*m));

	m->options = *options;
	return m;
}

static void boundary_pop(struct mime *m)
{
	struct boundary *b = m->innermost;

	m->innermost = b->outer;
	m->depth--;
	x_free(&b);
}

void mime_free(struct mime **mp)
{
	if (!*mp)
		return;
	while ((*mp)->innermost)
		boundary_pop(*mp);
	x_free(mp);
}

enum mime_section mime_section(const struct mime *m)
{
	return m->section;
}

enum mime_encoding mime_encoding(const struct mime *m)
{
	return m->encoding;
}

static bool boundary_push(struct mime *m, struct str text, bool digest)
{
	struct boundary *b;

	if (m->depth >= m->options.nesting_limit + 2)
		return false;
	text = str_first(text, m->options.boundary_limit);
	b = x_alloc(sizeof(*b) + text.n);
	memcpy(b + 1, text.p, text.n);
	*b = (struct boundary){m->innermost, digest, {(const char *)(b + 1), text.n}};
	m->innermost = b;
	m->depth++;
	return true;
}

bool mime_is_header(struct str name)
{
	static const char *const names[] = {"content-type", "content-transfer-encoding",
		"content-disposition", "content-description", "content-id", "mime-version"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (str_case_is(name, names[i]))
			return true;
	}
	return false;
}

static bool is_one_of(char c, const char *set)
{
	return c && strchr(set, c);
}

/* A token, quoted string or special of a structured field; blanks and comments before it are skipped. */
struct token {
	enum { END, WORD, QUOTED, SPECIAL } kind;
	struct str text; /* of QUOTED: still with backslashes */
};

static size_t comment_length(struct str s)
{
	size_t i = 0;
	int depth = 0;

	do {
		if (s.p[i] == '\\' && i + 1 < s.n)
			i++;
		else if (s.p[i] == '(')
			depth++;
		else if (s.p[i] == ')')
			depth--;
		i++;
	} while (i < s.n && depth > 0);
	return i;
}

static size_t quoted_length(struct str s)
{
	size_t i = 1;

	while (i < s.n && s.p[i] != '"')
		i += s.p[i] == '\\' && i + 1 < s.n ? 2 : 1;
	return i;
}

static size_t word_length(struct str s)
{
	size_t i = 0;

	while (i < s.n && !is_one_of(s.p[i], BLANKS SPECIALS))
		i++;
	return i;
}

static struct token take_token(struct str *rest)
{
	struct token t = {END, {"", 0}};
	size_t n;

	while (rest->n && (is_one_of(rest->p[0], BLANKS) || rest->p[0] == '('))
		*rest = str_from(*rest, rest->p[0] == '(' ? comment_length(*rest) : 1);
	if (rest->n == 0)
		return t;
	if (rest->p[0] == '"') {
		n = quoted_length(*rest);
		t = (struct token){QUOTED, str_from(str_first(*rest, n), 1)};
		*rest = str_from(*rest, n + 1);
		return t;
	}
	n = word_length(*rest);
	t = n ? (struct token){WORD, str_first(*rest, n)} : (struct token){SPECIAL, str_first(*rest, 1)};
	*rest = str_from(*rest, t.text.n);
	return t;
}

static bool token_is(const struct token *t, char special)
{
	return t->kind == SPECIAL && t->text.p[0] == special;
}

/* The text of a quoted string: without backslashes, and without line ends and the blanks before them. */
static struct str unquote(struct str quoted, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < quoted.n; i++) {
		if (quoted.p[i] == '\r' || quoted.p[i] == '\n') {
			while (n && is_one_of(out[n - 1], " \t"))
				n--;
			continue;
		}
		if (quoted.p[i] == '\\' && i + 1 < quoted.n)
			i++;
		out[n++] = quoted.p[i];
	}
	return (struct str){out, n};
}

static bool push_parameter(struct mime *m, const struct token *value, bool digest)
{
	char *text = x_alloc(value->text.n + 1);
	struct str boundary = value->text;
	bool ok;

	if (value->kind == QUOTED)
		boundary = unquote(value->text, text);
	ok = boundary_push(m, boundary, digest);
	x_free(&text);
	return ok;
}

/* The parameters of a multipart type. */
static bool take_boundaries(struct mime *m, struct str rest, bool digest)
{
	struct token t = take_token(&rest);

	while (t.kind != END) {
		bool separator = token_is(&t, ';');

		t = take_token(&rest);
		if (!separator || t.kind != WORD || !str_case_is(t.text, "boundary"))
			continue;
		t = take_token(&rest);
		if (!token_is(&t, '='))
			continue;
		t = take_token(&rest);
		if (t.kind != END && !push_parameter(m, &t, digest))
			return false;
	}
	return true;
}

static enum type message_type(struct str subtype)
{
	if (str_case_is(subtype, "rfc822"))
		return TYPE_RFC822;
	if (str_case_is(subtype, "global"))
		return TYPE_GLOBAL;
	if (str_case_is(subtype, "partial") || str_case_is(subtype, "external-body"))
		return TYPE_FRAGMENT;
	return TYPE_MESSAGE;
}

/* "/subtype", where it stands. */
static struct str take_subtype(struct str *rest)
{
	struct str before = *rest;
	struct token t = take_token(rest);

	if (!token_is(&t, '/')) {
		*rest = before;
		return STR("");
	}
	before = *rest;
	t = take_token(rest);
	if (t.kind == WORD)
		return t.text;
	*rest = before;
	return STR("");
}

static bool content_type(struct mime *m, struct str value)
{
	struct token type = take_token(&value);
	struct str subtype;

	if (type.kind != WORD)
		return true;
	subtype = take_subtype(&value);
	if (str_case_is(type.text, "text")) {
		m->type = TYPE_TEXT;
	} else if (str_case_is(type.text, "message")) {
		m->type = message_type(subtype);
	} else if (str_case_is(type.text, "multipart")) {
		m->type = TYPE_MULTIPART;
		return take_boundaries(m, value, str_case_is(subtype, "digest"));
	}
	return true;
}

bool mime_declared_encoding(struct str header, enum mime_encoding *out)
{
	ptrdiff_t colon = str_find(header, ':');
	struct str value;
	struct token t;

	if (colon < 0 ||
		!str_case_is(str_trim(str_first(header, (size_t)colon)), "content-transfer-encoding"))
		return false;
	value = str_from(header, (size_t)colon + 1);
	t = take_token(&value);
	for (size_t i = 0; t.kind == WORD && i < sizeof(encoding_names) / sizeof(*encoding_names); i++) {
		if (str_case_is(t.text, encoding_names[i])) {
			*out = (enum mime_encoding)i;
			return true;
		}
	}
	return false;
}

bool mime_header(struct mime *m, struct str header)
{
	ptrdiff_t colon = str_find(header, ':');
	struct str name, value;

	if (colon < 0)
		return true;
	name = str_trim(str_first(header, (size_t)colon));
	value = str_from(header, (size_t)colon + 1);
	if (str_case_is(name, "content-type"))
		return content_type(m, value);
	mime_declared_encoding(header, &m->encoding);
	return true;
}

static bool encoding_allowed(enum type type, enum mime_encoding encoding)
{
	switch (type) {
	case TYPE_FRAGMENT:
		return encoding == MIME_7BIT;
	case TYPE_RFC822:
	case TYPE_MULTIPART:
		return encoding != MIME_QUOTED_PRINTABLE && encoding != MIME_BASE64;
	case TYPE_TEXT:
	case TYPE_GLOBAL:
	case TYPE_MESSAGE:
		break;
	}
	return true;
}

bool mime_end_header(struct mime *m, bool empty, enum mime_encoding *declared)
{
	const enum type type = m->type;

	*declared = m->encoding;
	m->section = MIME_BODY;
	if (empty && (type == TYPE_RFC822 || type == TYPE_GLOBAL))
		m->section = MIME_NESTED;
	if (m->section == MIME_NESTED || (empty && type == TYPE_MULTIPART)) {
		m->type = TYPE_TEXT;
		m->encoding = MIME_7BIT;
	}
	return encoding_allowed(type, *declared);
}

enum mime_encoding mime_7bit_encoding(const struct mime *m)
{
	if (m->encoding != MIME_8BIT && m->encoding != MIME_BINARY)
		return m->encoding;
	switch (m->type) {
	case TYPE_TEXT:
	case TYPE_GLOBAL:
		return MIME_QUOTED_PRINTABLE;
	case TYPE_RFC822:
	case TYPE_MULTIPART:
		return MIME_7BIT;
	case TYPE_FRAGMENT:
	case TYPE_MESSAGE:
		break;
	}
	return m->encoding;
}

void mime_opaque(struct mime *m)
{
	m->section = MIME_BODY;
}

bool mime_has_parts(const struct mime *m)
{
	return m->innermost != NULL;
}

bool mime_boundary(struct mime *m, struct str line)
{
	struct boundary *b = m->innermost;
	struct str after;

	if (!b || !str_starts(line, STR("--")))
		return false;
	line = str_from(line, 2);
	while (b && !str_starts(line, b->text))
		b = b->outer;
	if (!b)
		return false;
	while (m->innermost != b)
		boundary_pop(m);
	after = str_from(line, b->text.n);
	m->section = MIME_PART;
	m->encoding = MIME_7BIT;
	m->type = b->digest ? TYPE_RFC822 : TYPE_TEXT;
	if (str_starts(after, STR("--"))) {
		boundary_pop(m);
		m->section = MIME_BODY;
		m->type = TYPE_TEXT;
	}
	return true;
}
