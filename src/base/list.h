/* Intrusive doubly linked list. A head is initialised with list_init; a node is in at most one list. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev, *next;
};

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
	l->prev = l->next = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_insert(struct list *before, struct list *node)
{
	node->prev = before->prev;
	node->next = before;
	before->prev->next = node;
	before->prev = node;
}

static inline void list_append(struct list *head, struct list *node)
{
	list_insert(head, node);
}

static inline void list_prepend(struct list *head, struct list *node)
{
	list_insert(head->next, node);
}

/* Safe on a node that was initialised and is in no list; leaves it so. */
static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

static inline struct list *list_shift(struct list *head) /* NULL: empty */
{
	struct list *first = head->next;

	if (first == head)
		return NULL;
	list_remove(first);
	return first;
}

#define list_each(pos, head)                                                                                 \
	for (struct list *pos = (head)->next, *pos##_next = pos->next; pos != (head);                        \
		pos = pos##_next, pos##_next = pos->next)

#endif
