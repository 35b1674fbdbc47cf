#include "base/mem.h"
#include "table/table_type.h"

struct entry {
	size_t n;
	char text[];
};

void entries_free(void *value)
{
	x_free(&value);
}

bool entries_add(struct hash *h, struct str key, struct str value, bool replace)
{
	bool known = hash_get(h, key) != NULL;
	struct entry *e;

	if (known && !replace)
		return false;
	e = x_alloc(sizeof(*e) + value.n + 1);
	e->n = value.n;
	memcpy(e->text, value.p, value.n);
	entries_free(hash_put(h, key, e));
	return !known;
}

enum table_status entries_lookup(const struct hash *h, struct str key, struct buf *value)
{
	const struct entry *e = hash_get(h, key);

	if (!e)
		return TABLE_NOT_FOUND;
	buf_add(value, e->text, e->n);
	return TABLE_FOUND;
}

enum table_status entries_each(const struct hash *h, table_entry_fn entry, void *arg)
{
	size_t pos = 0;
	struct str key;
	void *value;

	while (hash_next(h, &pos, &key, &value)) {
		const struct entry *e = value;

		if (!entry(arg, key, (struct str){e->text, e->n}))
			break;
	}
	return TABLE_FOUND;
}
