#include "mail/address_tree.h"

#include "base/mem.h"

/* Reads from the end: `left` tokens are still to be read, nodes are added in reverse order. */
struct reader {
	struct address_tree *tree;
	size_t left;
	bool group; /* behind a ';': a ':' ends the name of a group */
};

static const struct address_token *next_token(const struct reader *r)
{
	return &r->tree->tokens.list[r->left - 1];
}

static bool next_is(const struct reader *r, const char *specials)
{
	const struct address_token *t = r->left ? next_token(r) : NULL;

	return t && t->type == TOKEN_SPECIAL && strchr(specials, t->text.p[0]);
}

static void node_add(
	struct reader *r, enum address_node_type type, const struct address_token *tokens, size_t count)
{
	struct address_tree *t = r->tree;

	if (t->count == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 16;
		t->nodes = x_realloc(t->nodes, t->cap * sizeof(*t->nodes));
	}
	t->nodes[t->count++] = (struct address_node){type, tokens, count};
}

static void take_token(struct reader *r, enum address_node_type type)
{
	r->left--;
	node_add(r, type, &r->tree->tokens.list[r->left], 1);
}

/* A name: everything up to one of the marks. */
static void take_phrase(struct reader *r, const char *ends)
{
	while (r->left && !next_is(r, ends))
		take_token(r, NODE_TOKEN);
}

/* The address that ends before token `end`; its comments come behind it. */
static void add_address(struct reader *r, size_t end)
{
	const struct address_token *tokens = &r->tree->tokens.list[r->left];
	size_t comments = 0;

	for (size_t i = end; i > r->left; i--) {
		if (r->tree->tokens.list[i - 1].type == TOKEN_COMMENT) {
			node_add(r, NODE_TOKEN, &r->tree->tokens.list[i - 1], 1);
			comments++;
		}
	}
	if (comments == end - r->left && comments > 0)
		return;
	node_add(r, NODE_ADDRESS, end > r->left ? tokens : NULL, end - r->left);
	r->tree->addresses += end > r->left;
}

/* <address>, and the name in front of it. A ':' that ends the name means nothing outside a group. */
static void take_angle(struct reader *r)
{
	size_t end;

	take_token(r, NODE_TOKEN);
	if (r->left == 0)
		return;
	end = r->left;
	while (r->left && !next_is(r, "<"))
		r->left--;
	add_address(r, end);
	if (r->left == 0)
		return;
	take_token(r, NODE_TOKEN);
	take_phrase(r, ",;:>");
	if (!r->group && next_is(r, ":"))
		take_token(r, NODE_TOKEN);
}

/* An address without < >: two words side by side are of two addresses. */
static void take_address(struct reader *r)
{
	const char *const ends = r->group ? ",;>:" : ",;>";
	const size_t end = r->left;
	bool word = false;

	for (; r->left && !next_is(r, ends); r->left--) {
		const struct address_token *t = next_token(r);

		if (t->type == TOKEN_COMMENT)
			continue;
		if (word && address_token_is_word(t))
			break;
		word = address_token_is_word(t);
	}
	add_address(r, end);
	if (r->left && !next_is(r, r->group ? ",:" : ",")) {
		node_add(r, NODE_COMMA, NULL, 0);
		r->tree->loose = r->tree->loose || !next_is(r, ";");
	}
}

static void take_next(struct reader *r)
{
	if (next_token(r)->type == TOKEN_COMMENT) {
		take_token(r, NODE_TOKEN);
	} else if (next_is(r, ",")) {
		r->left--;
		node_add(r, NODE_COMMA, NULL, 0);
	} else if (next_is(r, ";")) {
		take_token(r, NODE_TOKEN);
		r->group = true;
	} else if (next_is(r, ">")) {
		take_angle(r);
	} else if (r->group && next_is(r, ":")) {
		take_token(r, NODE_GROUP);
		take_phrase(r, ",");
	} else {
		take_address(r);
	}
}

static void reverse(struct address_tree *t)
{
	for (size_t i = 0; i < t->count / 2; i++) {
		struct address_node node = t->nodes[i];

		t->nodes[i] = t->nodes[t->count - 1 - i];
		t->nodes[t->count - 1 - i] = node;
	}
}

void address_tree_parse(struct str text, size_t max_tokens, struct address_tree *out)
{
	struct reader r = {.tree = out};

	*out = (struct address_tree){0};
	address_tokenize(text, max_tokens, &out->tokens);
	r.left = out->tokens.count;
	while (r.left)
		take_next(&r);
	reverse(out);
}

void address_tree_free(struct address_tree *tree)
{
	address_tokens_free(&tree->tokens);
	x_free(&tree->nodes);
	tree->count = tree->cap = 0;
}
