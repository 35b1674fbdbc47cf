/* The two forms of the queue's listing. */
#ifndef COMMANDS_POSTQUEUE_LIST_H
#define COMMANDS_POSTQUEUE_LIST_H

#include "ipc/queue.h"
#include <stdio.h>

struct queue_list {
	FILE *out;
	bool json, long_ids;
	size_t messages;
	uint64_t bytes;
};

/* A queue_listed_fn with the struct queue_list. */
void postqueue_list(void *list, const struct queue_listed *l);
/* What stands below the last message of the classic form. */
void postqueue_list_end(const struct queue_list *list);

#endif
