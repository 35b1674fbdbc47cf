/*
 * What a text with addresses is made of: addresses, and what stands around them (names, comments, groups).
 * The text is read from its end, as that makes sense of most of what people write: the name in front of
 * <address> is a name whatever marks it has, and words that nothing connects are addresses that lack a comma.
 */
#ifndef MAIL_ADDRESS_TREE_H
#define MAIL_ADDRESS_TREE_H

#include "mail/address_token.h"

enum address_node_type {
	NODE_TOKEN,   /* of a name, a comment, < > or ; */
	NODE_ADDRESS, /* comments among its tokens are nodes of their own, behind it */
	NODE_COMMA,   /* also one that is missing in the text */
	NODE_GROUP    /* the colon behind the name of a group */
};

struct address_node {
	enum address_node_type type;
	const struct address_token *tokens; /* COMMA: none */
	size_t count;			    /* 0 in an ADDRESS: <> */
};

struct address_tree {
	struct address_tokens tokens;
	struct address_node *nodes; /* in the order of the text */
	size_t count, cap;
	size_t addresses; /* without <> */
	bool loose;	  /* addresses stood side by side without a comma */
};

/* Reads at most max_tokens; what comes after them is not there. The tree refers to the text. */
void address_tree_parse(struct str text, size_t max_tokens, struct address_tree *out);
void address_tree_free(struct address_tree *tree);

#endif
