#include "smtpd/effects.h"

#include <string.h>

void text_list_add(struct pool *pool, struct text_list *list, const char *text)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i], text) == 0)
			return;
	if (list->count == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 4;
		const char **items = pool_alloc(pool, cap * sizeof(*items));

		if (list->count > 0)
			memcpy(items, list->items, list->count * sizeof(*items));
		list->items = items;
		list->cap = cap;
	}
	list->items[list->count++] = pool_strdup(pool, text);
}

static void set_text(struct pool *pool, const char **field, const char *text)
{
	if (text && (!*field || strcmp(*field, text) != 0))
		*field = pool_strdup(pool, text);
}

void effects_merge(struct pool *pool, struct effects *to, const struct effects *from)
{
	to->hold |= from->hold;
	to->discard |= from->discard;
	set_text(pool, &to->filter, from->filter);
	set_text(pool, &to->redirect, from->redirect);
	for (size_t i = 0; i < from->bcc.count; i++)
		text_list_add(pool, &to->bcc, from->bcc.items[i]);
	for (size_t i = 0; i < from->prepend.count; i++)
		text_list_add(pool, &to->prepend, from->prepend.items[i]);
}
