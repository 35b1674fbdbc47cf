#include "mail/address_list.h"

#include "base/mem.h"
#include "mail/address_token.h"

#define ITEM_MAX 65536

/*
 * Words side by side may be a phrase before <address>, or addresses without commas. They wait until it shows:
 * `waiting` are items of the list from the index on.
 */
struct parse {
	struct address_list *out;
	size_t waiting;
	struct buf item;
	bool open;   /* item has something */
	bool joined; /* the last token was '.' or '@': the next word belongs to the item */
	bool angle;  /* between < and > */
};

static void add(struct address_list *list, char *item)
{
	if (list->count == list->cap) {
		list->cap = list->cap ? list->cap * 2 : 8;
		list->items = x_realloc(list->items, list->cap * sizeof(*list->items));
	}
	list->items[list->count++] = item;
}

static void drop_waiting(struct parse *p)
{
	while (p->out->count > p->waiting)
		x_free(&p->out->items[--p->out->count]);
	buf_clear(&p->item);
	p->open = p->joined = false;
}

static void end_item(struct parse *p)
{
	if (p->open)
		add(p->out, buf_take(&p->item));
	p->open = p->joined = false;
}

static void end_group(struct parse *p)
{
	end_item(p);
	if (p->out->count > p->waiting + 1)
		p->out->loose = true;
	p->waiting = p->out->count;
}

static void word(struct parse *p, const struct address_token *token)
{
	if (p->open && !p->joined && !p->angle)
		end_item(p);
	address_token_text(token, &p->item);
	p->open = true;
	p->joined = false;
}

/* A source route: <@relay:user@host>. */
static void colon(struct parse *p)
{
	if (p->angle)
		buf_clear(&p->item);
	else
		drop_waiting(p);
}

static void special(struct parse *p, const struct address_token *token)
{
	switch (token->text.p[0]) {
	case '<':
		drop_waiting(p);
		p->angle = p->open = true;
		break;
	case '>':
		p->angle = false;
		end_group(p);
		break;
	case ':':
		colon(p);
		break;
	case ',':
	case ';':
		if (!p->angle)
			end_group(p);
		break;
	default:
		buf_putc(&p->item, token->text.p[0]);
		p->open = p->joined = true;
		break;
	}
}

bool address_list_parse(struct str text, struct address_list *out)
{
	struct parse p = {.out = out, .waiting = out->count, .item = BUF(ITEM_MAX)};
	struct address_tokens tokens;

	if (!address_tokenize(text, false, &tokens))
		return false;
	for (size_t i = 0; i < tokens.count; i++) {
		if (tokens.list[i].type == TOKEN_SPECIAL)
			special(&p, &tokens.list[i]);
		else
			word(&p, &tokens.list[i]);
	}
	end_group(&p);
	buf_free(&p.item);
	address_tokens_free(&tokens);
	return true;
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
