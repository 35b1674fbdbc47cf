/* What access(5) results ask to be done with the message, besides accepting or refusing it. Later results add
 * to earlier ones. */
#ifndef SMTPD_EFFECTS_H
#define SMTPD_EFFECTS_H

#include <stdbool.h>

#include "base/mem.h"

struct text_list {
	const char **items;
	size_t count, cap;
};

struct effects {
	bool hold, discard;
	const char *filter;   /* transport:destination; the last one counts */
	const char *redirect; /* address; the last one counts */
	struct text_list bcc, prepend;
};

/* Adds a copy unless the list has the text already. */
void text_list_add(struct pool *pool, struct text_list *list, const char *text);
/* Adds what `from` asks for; strings are copied into the pool. */
void effects_merge(struct pool *pool, struct effects *to, const struct effects *from);

#endif
