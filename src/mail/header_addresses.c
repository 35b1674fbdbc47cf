#include "mail/header_addresses.h"

#include "mail/address.h"
#include "mail/address_tree.h"

#define LINE_WIDTH 70 /* bytes of a line; an address that would reach it goes to the next one */
#define AROUND_MAX                                                                                           \
	250		/* bytes around an address: more are dropped, for the sake of servers that overflow  \
			 */
#define VALUE_GROWTH 64 /* times ADDRESS_MAX: enough for every header that does not grow without end */

/* What was printed last, where it makes a difference. */
enum printed { PRINTED_MARK, PRINTED_WORD, PRINTED_BLANK };

struct printer {
	const struct header_map *map;
	bool changed;
	struct buf *out;
	size_t line;	    /* bytes of the present line, without its tab */
	bool started;	    /* a piece was printed */
	struct buf piece;   /* what stands between two commas */
	struct buf address; /* the last one in it */
	bool has_address;
	enum printed last;
};

/* One that stays has the form of the others; an empty one and a route have none. */
static void write_same(struct str written, struct buf *out)
{
	struct buf internal = BUF(8 * ADDRESS_MAX);

	address_unquote(written, &internal);
	if (internal.len && internal.data[0] != '@')
		address_quote(buf_slice(&internal), out);
	else
		buf_str(out, written);
	buf_free(&internal);
}

/* What becomes of the address as it was written; false: give up. */
static bool map_address(struct printer *p, struct str written)
{
	struct buf mapped = BUF(4 * ADDRESS_MAX);
	bool ok = written.n == 0 || p->map->address(p->map->arg, written, &mapped);

	if (ok && mapped.len && str_is(written, "@"))
		buf_puts(&p->address, "\"\"");
	else if (ok && mapped.len && !mapped.over)
		address_quote(buf_slice(&mapped), &p->address);
	if (p->address.len == 0)
		write_same(written, &p->address);
	else if (!str_eq(buf_slice(&p->address), written))
		p->changed = true;
	buf_free(&mapped);
	return ok;
}

static bool print_address(struct printer *p, const struct address_node *node)
{
	struct buf written = BUF(8 * ADDRESS_MAX);
	bool ok;

	address_tokens_write(node->tokens, node->count, &written);
	buf_clear(&p->address);
	p->has_address = true;
	ok = map_address(p, buf_slice(&written));
	if (written.over || p->address.over)
		p->out->over = true;
	buf_str(&p->piece, buf_slice(&p->address));
	p->last = PRINTED_WORD;
	buf_free(&written);
	return ok;
}

/* The header may be folded again where a comment was. */
static void print_comment(struct printer *p, struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] != '\r')
			buf_putc(&p->piece, text.p[i]);
	}
}

static void print_token(struct printer *p, const struct address_token *t)
{
	bool mark = t->type == TOKEN_SPECIAL;

	if (p->last != PRINTED_BLANK && (mark ? address_token_is(t, '<') : p->last == PRINTED_WORD))
		buf_putc(&p->piece, ' ');
	if (t->type == TOKEN_COMMENT)
		print_comment(p, t->text);
	else
		address_token_write(t, &p->piece);
	p->last = mark ? PRINTED_MARK : PRINTED_WORD;
}

static void strip_piece(struct printer *p)
{
	if (!p->has_address || p->piece.len <= p->address.len + AROUND_MAX)
		return;
	if (p->map->stripped)
		p->map->stripped(p->map->arg, buf_slice(&p->piece));
	buf_clear(&p->piece);
	buf_printf(&p->piece, "<%s>", buf_cstr(&p->address));
}

/* What goes to the present line where there is room, else to the next. */
static void print_line(struct printer *p, struct str text)
{
	bool blank = text.n && (text.p[0] == ' ' || text.p[0] == '\t');

	if (p->started && text.n && p->line + 1 + text.n >= LINE_WIDTH) {
		buf_puts(p->out, blank ? "\r\n" : "\r\n\t");
		p->line = 0;
	} else {
		buf_putc(p->out, ' ');
		p->line++;
	}
	buf_str(p->out, text);
	p->line += text.n;
	p->started = true;
}

/* A piece is complete. */
static void print_piece(struct printer *p, bool comma)
{
	struct str rest;
	ptrdiff_t end;

	strip_piece(p);
	if (comma)
		buf_putc(&p->piece, ',');
	rest = buf_slice(&p->piece);
	while ((end = str_find(rest, '\n')) >= 0) {
		print_line(p, str_first(rest, (size_t)end));
		rest = str_from(rest, (size_t)end + 1);
	}
	print_line(p, rest);
	buf_clear(&p->piece);
	p->has_address = false;
	p->last = PRINTED_BLANK;
}

static bool print_node(struct printer *p, const struct address_node *node)
{
	switch (node->type) {
	case NODE_ADDRESS:
		return print_address(p, node);
	case NODE_COMMA:
		print_piece(p, true);
		return true;
	case NODE_GROUP:
		buf_puts(&p->piece, ": ");
		p->last = PRINTED_BLANK;
		return true;
	case NODE_TOKEN:
		print_token(p, node->tokens);
		return true;
	}
	return false;
}

static bool print_tree(struct printer *p, const struct address_tree *tree)
{
	for (size_t i = 0; i < tree->count; i++) {
		if (!print_node(p, &tree->nodes[i]))
			return false;
	}
	print_piece(p, false);
	return true;
}

enum header_change header_addresses_map(
	struct str header, size_t max_tokens, const struct header_map *map, struct buf *out)
{
	struct str name = str_first(header, header_name_length(header));
	struct str value = str_trim(str_from(header, (size_t)str_find(header, ':') + 1));
	struct printer p = {.map = map, .out = out, .line = name.n + 1, .last = PRINTED_BLANK};
	struct address_tree tree;
	ptrdiff_t nul = str_find(value, '\0');
	bool ok;

	if (name.n == 0)
		return HEADER_SAME;
	p.piece = BUF(header.n + VALUE_GROWTH * ADDRESS_MAX);
	p.address = BUF(8 * ADDRESS_MAX);
	address_tree_parse(nul < 0 ? value : str_first(value, (size_t)nul), max_tokens, &tree);
	buf_str(out, name);
	buf_putc(out, ':');
	ok = print_tree(&p, &tree);
	out->over = out->over || p.piece.over;
	address_tree_free(&tree);
	buf_free(&p.piece);
	buf_free(&p.address);
	if (!ok)
		return HEADER_GIVEN_UP;
	return p.changed ? HEADER_CHANGED : HEADER_SAME;
}

enum header_addresses header_addresses_kind(struct str name)
{
	static const struct {
		const char *name;
		enum header_addresses kind;
	} rows[] = {
		{"apparently-to", HEADER_OF_RECIPIENTS},
		{"bcc", HEADER_OF_RECIPIENTS},
		{"cc", HEADER_OF_RECIPIENTS},
		{"disposition-notification-to", HEADER_OF_SENDERS},
		{"errors-to", HEADER_OF_SENDERS},
		{"from", HEADER_OF_SENDERS},
		{"mail-followup-to", HEADER_OF_SENDERS},
		{"reply-to", HEADER_OF_SENDERS},
		{"resent-bcc", HEADER_OF_RECIPIENTS},
		{"resent-cc", HEADER_OF_RECIPIENTS},
		{"resent-from", HEADER_OF_SENDERS},
		{"resent-reply-to", HEADER_OF_RECIPIENTS},
		{"resent-sender", HEADER_OF_SENDERS},
		{"resent-to", HEADER_OF_RECIPIENTS},
		{"return-path", HEADER_OF_SENDERS},
		{"return-receipt-to", HEADER_OF_SENDERS},
		{"sender", HEADER_OF_SENDERS},
		{"to", HEADER_OF_RECIPIENTS},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (str_case_is(name, rows[i].name))
			return rows[i].kind;
	}
	return HEADER_WITHOUT_ADDRESSES;
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
