/* TLS sessions kept in a file that the processes of a service share. A failure of the file costs a full
 * handshake and no more. */
#ifndef TLS_TLS_CACHE_H
#define TLS_TLS_CACHE_H

#include <stdbool.h>

#include "tls/tls.h"

/* map: "btree:/directory/name", the parameter's value. seconds > 0: how long a session may be used. warn is
 * told, once in a while, that the file cannot be used. NULL: the value means no file. */
struct tls_cache *tls_cache_open(const struct config *cfg, const char *parameter, const char *map,
	int seconds, tls_warn_fn *warn, struct err *err);
void tls_cache_free(struct tls_cache **cache);
#define TLS_CACHE_SHORTEST 120
/* What a session_cache_timeout means: 0 no sessions are taken up again, otherwise seconds. */
static inline int tls_cache_seconds(int timeout)
{
	return timeout <= 0 || timeout >= TLS_CACHE_SHORTEST ? timeout : TLS_CACHE_SHORTEST;
}

#endif
