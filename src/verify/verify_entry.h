/* What is kept about an address, and its form in the file. What is read there may be anything. */
#ifndef VERIFY_VERIFY_ENTRY_H
#define VERIFY_VERIFY_ENTRY_H

#include "base/buf.h"
#include "verify/verify.h"

#define VERIFY_TEXT_MAX 1000  /* bytes of a reason that are kept */
#define VERIFY_VALUE_MAX 1100 /* bytes of an entry */

struct verify_entry {
	enum verify_status status;
	int64_t probed_us;  /* when the last probe was made; 0: none is under way */
	int64_t updated_us; /* when status was found out; 0: never */
	struct str text;    /* slice of the value it was read from */
};

void verify_entry_print(const struct verify_entry *e, struct buf *out);
/* false: this is no entry. */
bool verify_entry_parse(struct str value, struct verify_entry *e);

/* The times of the parameters, in microseconds. */
struct verify_times {
	int64_t positive_expire, positive_refresh, negative_expire, negative_refresh;
	bool negative_cache;
	int64_t since; /* older entries do not count */
};

/* Whether the entry tells anything to somebody who asks since begun. */
bool verify_entry_counts(
	const struct verify_entry *e, const struct verify_times *t, int64_t begun_us, int64_t now_us);
/* Whether a new probe is due for an entry that counts, or for one that waits for its first outcome. */
bool verify_entry_due(const struct verify_entry *e, const struct verify_times *t, int64_t now_us);

#endif
