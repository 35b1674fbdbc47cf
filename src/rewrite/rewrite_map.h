/* Tables that change addresses: canonical(5), virtual(5), generic(5). */
#ifndef REWRITE_REWRITE_MAP_H
#define REWRITE_REWRITE_MAP_H

#include "rewrite/resolve.h"

typedef enum table_status maps_address_fn(struct maps *m, struct str address, const char *delimiters,
	bool local_domain, struct buf *value, struct str *extension, struct err *err);

/* Looks the address up in the order of ADDRESS_REWRITING; ask is maps_lookup_address or maps_lookup_written.
 * An extension that was not matched is in *extension (may be NULL). */
enum table_status rewrite_lookup(struct resolver *r, struct maps *maps, struct str address,
	maps_address_fn *ask, struct buf *value, struct str *extension, struct err *err);
/* The status of a lookup whose value has no address in it. */
enum table_status rewrite_no_address(struct str key, struct str value, struct err *err);
/* Appends what `result` makes of the address `key`, in standard form: "@domain" means the same user there.
 * The extension goes where the result has none of its own to say. */
void rewrite_map_result(struct resolver *r, struct str key, struct str result, struct str extension,
	bool propagate, struct buf *out);
/* Both for tables that give one address for another. FOUND: it was appended to out; *several: the result has
 * more than the one that was taken. */
enum table_status rewrite_map(struct resolver *r, struct maps *maps, struct str address, bool propagate,
	struct buf *out, bool *several, struct err *err);

#endif
