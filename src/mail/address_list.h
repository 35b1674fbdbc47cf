/* The mailboxes in an address list as people write it: header fields (RFC 5322 section 3.4) and command line
 * arguments. */
#ifndef MAIL_ADDRESS_LIST_H
#define MAIL_ADDRESS_LIST_H

#include "base/buf.h"

struct address_list {
	char **items; /* internal forms; "" is the null address <> */
	size_t count, cap;
	bool loose; /* addresses stood side by side without a comma */
};

/* Adds what text has. Phrases, comments, routes and group names are dropped. false: unbalanced quotes;
 * nothing was added. */
bool address_list_parse(struct str text, struct address_list *out);
/* Moves all items to the end of another list. */
void address_list_move(struct address_list *from, struct address_list *to);
void address_list_free(struct address_list *list);

#endif
