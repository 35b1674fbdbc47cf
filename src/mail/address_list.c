#include "mail/address_list.h"

#include "base/mem.h"
#include "mail/address_tree.h"

#define ITEM_MAX 65536

static void add(struct address_list *list, char *item)
{
	if (list->count == list->cap) {
		list->cap = list->cap ? list->cap * 2 : 8;
		list->items = x_realloc(list->items, list->cap * sizeof(*list->items));
	}
	list->items[list->count++] = item;
}

static void add_address(struct address_list *list, const struct address_token *tokens, size_t count)
{
	struct buf item = BUF(ITEM_MAX);

	address_tokens_text(tokens, count, &item);
	add(list, buf_take(&item));
}

static void add_node(struct address_list *list, struct address_node node)
{
	bool null = node.count == 0;

	address_skip_route(&node.tokens, &node.count);
	if (null || node.count > 0)
		add_address(list, node.tokens, node.count);
}

bool address_list_parse(struct str text, struct address_list *out)
{
	struct address_tree tree;
	bool ok;

	address_tree_parse(text, SIZE_MAX, &tree);
	ok = !tree.tokens.open_quote;
	for (size_t i = 0; ok && i < tree.count; i++) {
		if (tree.nodes[i].type == NODE_ADDRESS)
			add_node(out, tree.nodes[i]);
	}
	out->loose = out->loose || (ok && tree.loose);
	address_tree_free(&tree);
	return ok;
}

void address_list_move(struct address_list *from, struct address_list *to)
{
	for (size_t i = 0; i < from->count; i++)
		add(to, from->items[i]);
	from->count = 0;
	address_list_free(from);
}

void address_list_free(struct address_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		x_free(&list->items[i]);
	x_free(&list->items);
	*list = (struct address_list){0};
}
