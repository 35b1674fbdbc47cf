/* What the files of this folder share. */
#ifndef VERIFY_VERIFY_PRIVATE_H
#define VERIFY_VERIFY_PRIVATE_H

#include "table/cache_file.h"
#include "verify/verify.h"
#include "verify/verify_entry.h"

/* Const after verify_open(). */
struct verify {
	const struct config *cfg, *own_cfg; /* own_cfg: of the service's entry, or NULL */
	struct cache_file *cache;	    /* NULL: the map cannot be used at all */
	struct err why;
	struct verify_times times;
};

#endif
