/* The next hop of the error, retry and discard agents is the reason for what they do: "[status] text". */
#ifndef ERROR_REASON_H
#define ERROR_REASON_H

#include "mail/dsn.h"

/*
 * A status of another class than the action's is no status of it: its place is taken by the class with
 * ".0.0". A text without words gives `otherwise`.
 */
struct dsn *reason_make(
	struct pool *pool, enum dsn_action action, const char *nexthop, const char *otherwise);

#endif
