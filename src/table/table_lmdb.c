/* lmdb:, hash: and btree: tables, built by postmap(1). */
#include "base/mem.h"
#include "table/lmdb_file.h"
#include "table/table_watch.h"

struct lmdb_table {
	MDB_env *env;
	MDB_dbi dbi;
};

static bool lmdb_open(struct table *t, const char *name, struct err *err)
{
	struct lmdb_table *l = x_alloc(sizeof(*l));
	char *path = lmdb_file_find(t->type->name, name);

	t->state = l;
	table_watch_file(t, path, WATCH_REPLACED);
	l->env = lmdb_file_open(path, &l->dbi, err);
	x_free(&path);
	return l->env != NULL;
}

static void lmdb_close(struct table *t)
{
	struct lmdb_table *l = t->state;

	if (l->env)
		mdb_env_close(l->env);
	x_free(&t->state);
}

/* Other programs store keys and values with the NUL byte that ends them. */
static int get(MDB_txn *txn, MDB_dbi dbi, struct str key, MDB_val *value)
{
	char *with_nul = x_strndup(key.p, key.n);
	MDB_val k = {key.n, (void *)key.p};
	int error = key.n ? mdb_get(txn, dbi, &k, value) : MDB_NOTFOUND;

	if (error == MDB_NOTFOUND) {
		k = (MDB_val){key.n + 1, with_nul};
		error = mdb_get(txn, dbi, &k, value);
		if (!error && value->mv_size && ((const char *)value->mv_data)[value->mv_size - 1] == '\0')
			value->mv_size--;
	}
	x_free(&with_nul);
	return error;
}

static enum table_status lmdb_answer(int error, struct err *err)
{
	if (!error)
		return TABLE_FOUND;
	if (error == MDB_NOTFOUND || error == MDB_BAD_VALSIZE)
		return TABLE_NOT_FOUND;
	err_set(err, "%s", mdb_strerror(error));
	return TABLE_RETRY;
}

static enum table_status lmdb_lookup(struct table *t, struct str key, struct buf *value, struct err *err)
{
	struct lmdb_table *l = t->state;
	MDB_txn *txn;
	MDB_val found;
	bool decoded = true;
	int error;

	error = mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn);
	if (!error) {
		error = get(txn, l->dbi, key, &found);
		decoded = error ||
			  table_stored_value(t, (struct str){found.mv_data, found.mv_size}, value, err);
		mdb_txn_abort(txn);
	}
	return decoded ? lmdb_answer(error, err) : TABLE_MISCONFIGURED;
}

static struct str without_nul(MDB_val v)
{
	const char *p = v.mv_data;

	return (struct str){p, v.mv_size && p[v.mv_size - 1] == '\0' ? v.mv_size - 1 : v.mv_size};
}

static int walk(MDB_cursor *cursor, table_entry_fn entry, void *arg)
{
	MDB_val key, value;
	int error;

	while ((error = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		if (!entry(arg, without_nul(key), without_nul(value)))
			return 0;
	}
	return error == MDB_NOTFOUND ? 0 : error;
}

static enum table_status lmdb_each(struct table *t, table_entry_fn entry, void *arg, struct err *err)
{
	struct lmdb_table *l = t->state;
	MDB_cursor *cursor;
	MDB_txn *txn;
	int error;

	error = mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn);
	if (!error) {
		error = mdb_cursor_open(txn, l->dbi, &cursor);
		if (!error) {
			error = walk(cursor, entry, arg);
			mdb_cursor_close(cursor);
		}
		mdb_txn_abort(txn);
	}
	return lmdb_answer(error, err);
}

#define LMDB_TYPE(id)                                                                                        \
	const struct table_type table_type_##id = {.name = #id,                                              \
		.open = lmdb_open,                                                                           \
		.close = lmdb_close,                                                                         \
		.lookup = lmdb_lookup,                                                                       \
		.each = lmdb_each,                                                                           \
		.build = &lmdb_build_type}

LMDB_TYPE(btree);
LMDB_TYPE(hash);
LMDB_TYPE(lmdb);
