/*
 * Connections that wait for the next delivery, parked at the waiter of the service's slots. A connection that
 * its server closes, or that waited long enough, ends there. Shared state: the list, guarded by the cache's
 * own lock; a session in it belongs to the cache.
 */
#ifndef SMTP_CACHE_H
#define SMTP_CACHE_H

#include "smtp/smtp.h"

struct smtp_cache *smtp_cache_new(struct slots *slots);
void smtp_cache_free(struct smtp_cache **cache); /* after slots_stop */
/* Takes a session with this key that is still alive; NULL: none. The newest is taken first. */
struct smtp_session *smtp_cache_by_nexthop(struct smtp_cache *cache, const char *key);
struct smtp_session *smtp_cache_by_address(struct smtp_cache *cache, const char *key);
/* Gives a session away until the deadline (clock_mono()). A full cache, or one with unexpected input, ends
 * it. */
void smtp_cache_keep(struct smtp_cache *cache, struct smtp_session *session, int64_t deadline);
/* Ends all sessions that wait, and those that would. */
void smtp_cache_close(struct smtp_cache *cache);

#endif
