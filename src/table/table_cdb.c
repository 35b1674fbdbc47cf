/* cdb: tables, built by postmap(1). */
#include "base/mem.h"
#include "table/cdb_file.h"
#include "table/table_watch.h"

struct cdb_table {
	bool open;
	struct cdb file;
};

static bool table_cdb_open(struct table *t, const char *name, struct err *err)
{
	struct cdb_table *c = x_alloc(sizeof(*c));
	char *path = cdb_file_path(name);

	t->state = c;
	table_watch_file(t, path, WATCH_REPLACED);
	c->open = cdb_file_open(path, &c->file, err);
	x_free(&path);
	return c->open;
}

static void table_cdb_close(struct table *t)
{
	struct cdb_table *c = t->state;

	if (c->open)
		cdb_file_close(&c->file);
	x_free(&t->state);
}

/* Other programs store keys and values with the NUL byte that ends them. */
static int find(struct cdb *file, struct str key)
{
	char *with_nul;
	int found = key.n ? cdb_find(file, key.p, (unsigned)key.n) : 0;

	if (found != 0)
		return found;
	with_nul = x_strndup(key.p, key.n);
	found = cdb_find(file, with_nul, (unsigned)key.n + 1);
	x_free(&with_nul);
	return found;
}

/* The library notes in the struct what it found, so each lookup has a copy. */
static enum table_status table_cdb_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	struct cdb file = ((struct cdb_table *)t->state)->file;
	int found = find(&file, key);
	const void *text;

	if (found == 0)
		return TABLE_NOT_FOUND;
	text = found > 0 ? cdb_getdata(&file) : NULL;
	if (!text) {
		err_set(err, "the file is damaged");
		return TABLE_RETRY;
	}
	return table_stored_value(t, cdb_file_text(text, cdb_datalen(&file)), value, err)
		       ? TABLE_FOUND
		       : TABLE_MISCONFIGURED;
}

static enum table_status table_cdb_each(struct table *t, table_entry_fn entry, void *arg, struct err *err)
{
	const struct cdb_table *c = t->state;

	return cdb_file_each(&c->file, entry, arg, err) ? TABLE_FOUND : TABLE_RETRY;
}

const struct table_type table_type_cdb = {.name = "cdb",
	.open = table_cdb_open,
	.close = table_cdb_close,
	.lookup = table_cdb_lookup,
	.each = table_cdb_each,
	.build = &cdb_build_type};
