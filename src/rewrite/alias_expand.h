/* Virtual alias expansion (virtual(5)): the addresses that a recipient becomes. */
#ifndef REWRITE_ALIAS_EXPAND_H
#define REWRITE_ALIAS_EXPAND_H

#include "rewrite/resolve_trace.h"

struct expanded {
	char *address;
	int depth;  /* how many lookups led to it */
	bool final; /* not looked up again: an alias that names itself */
};

struct alias_expansion {
	struct resolver *resolver;
	const struct resolve_trace *trace; /* or NULL */
	struct expanded *list;
	size_t count, cap;
	const char *unreasonable; /* a limit was passed: which */
	char *culprit;		  /* ... by which address */
};

/* Fills x->list from the address; resolver and trace are set, the rest is zero.
 * TABLE_MISCONFIGURED with x->unreasonable: the virtual_alias_..._limit parameters; RETRY, MISCONFIGURED with
 * err: table trouble. */
enum table_status alias_expand(struct alias_expansion *x, const char *address, struct err *err);
void alias_expansion_free(struct alias_expansion *x);

#endif
