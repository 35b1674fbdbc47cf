/* How LMDB files are made. */
#include "base/mem.h"
#include "base/sys.h"
#include "table/build_file.h"
#include "table/lmdb_file.h"
#include "table/table_type.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAP_SIZE_MIN (64u << 20)
#define MAP_SIZE_FACTOR 16 /* of the source: short entries take much more room in a B-tree page */

struct lmdb_build {
	const char *type; /* as the operator knows it: hash, btree, lmdb */
	struct build_file file;
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
};

static int copy_old(struct lmdb_build *l, size_t *size)
{
	struct stat st;
	struct err err;
	MDB_dbi dbi;
	MDB_env *old;
	int fd, error;

	if (stat(l->file.path, &st) < 0)
		return errno == ENOENT ? 0 : errno;
	*size += (size_t)st.st_size;
	old = lmdb_file_open(l->file.path, &dbi, &err);
	if (!old)
		return MDB_INVALID;
	fd = open(l->file.temporary, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	error = fd < 0 ? errno : mdb_env_copyfd2(old, fd, MDB_CP_COMPACT);
	sys_close(&fd);
	mdb_env_close(old);
	return error;
}

static int open_new(struct lmdb_build *l, size_t size)
{
	const unsigned flags = MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC;
	size_t map_size = (MAP_SIZE_MIN + size * MAP_SIZE_FACTOR) & ~(size_t)0xffff;
	int error = mdb_env_create(&l->env);

	if (!error)
		error = mdb_env_set_mapsize(l->env, map_size);
	if (!error)
		error = mdb_env_open(l->env, l->file.temporary, flags, 0600);
	if (!error)
		error = mdb_txn_begin(l->env, NULL, 0, &l->txn);
	if (!error)
		error = mdb_dbi_open(l->txn, NULL, 0, &l->dbi);
	return error;
}

static bool build_begin(struct table_builder *b, const char *type, const char *name, struct err *err)
{
	struct lmdb_build *l = x_alloc(sizeof(*l));
	size_t size = b->options.size;
	int error = 0;

	b->state = l;
	l->type = type;
	if (!build_file_begin(&l->file, lmdb_file_path(type, name), b->options.mode, err))
		return false;
	if (b->options.incremental)
		error = copy_old(l, &size);
	if (!error)
		error = open_new(l, size);
	return !error ||
	       err_set(err, "open database %s: %s", l->file.path, lmdb_file_reason(l->file.path, error));
}

static void put_text(struct buf *out, struct str text, bool with_nul)
{
	buf_str(out, text);
	if (with_nul)
		buf_putc(out, '\0');
}

/* Whether the key is there in the other form: with a NUL, or without. It goes away for a new value. */
static bool other_form(struct lmdb_build *l, const struct table_builder *b, struct str key)
{
	struct buf k = BUF(key.n + 1);
	MDB_val mk, mv;
	bool there;

	put_text(&k, key, !b->options.with_nul);
	mk = (MDB_val){k.len, k.data};
	there = b->options.incremental && k.len && mdb_get(l->txn, l->dbi, &mk, &mv) == 0;
	if (there && b->options.replace)
		mdb_del(l->txn, l->dbi, &mk, NULL);
	buf_free(&k);
	return there;
}

static bool key_fits(
	const struct lmdb_build *l, const struct table_builder *b, struct str key, struct err *err)
{
	const size_t longest = (size_t)mdb_env_get_maxkeysize(l->env) - b->options.with_nul;

	return (key.n > 0 && key.n <= longest) ||
	       err_set(err, "keys of %s: tables have 1 to %zu bytes", l->type, longest);
}

static enum table_build_result put_fitting(
	struct table_builder *b, struct str key, struct str value, struct err *err)
{
	struct lmdb_build *l = b->state;
	struct buf k = BUF(key.n + 1), v = BUF(value.n + 1);
	MDB_val mk, mv;
	bool other = other_form(l, b, key), there;
	int error;

	if (other && !b->options.replace)
		return BUILD_DUPLICATE;
	put_text(&k, key, b->options.with_nul);
	put_text(&v, value, b->options.with_nul);
	mk = (MDB_val){k.len, k.data};
	mv = (MDB_val){v.len, v.data};
	error = mdb_put(l->txn, l->dbi, &mk, &mv, MDB_NOOVERWRITE);
	there = error == MDB_KEYEXIST;
	if (there && b->options.replace) {
		mv = (MDB_val){v.len, v.data};
		error = mdb_put(l->txn, l->dbi, &mk, &mv, 0);
	} else if (there) {
		error = 0;
	}
	buf_free(&k);
	buf_free(&v);
	if (!error)
		return there || other ? BUILD_DUPLICATE : BUILD_ADDED;
	err_set(err, "%s", mdb_strerror(error));
	return BUILD_FAILED;
}

static int remove_form(struct lmdb_build *l, struct str key, bool with_nul)
{
	struct buf k = BUF(key.n + 1);
	MDB_val mk;
	int error;

	put_text(&k, key, with_nul);
	mk = (MDB_val){k.len, k.data};
	error = k.len ? mdb_del(l->txn, l->dbi, &mk, NULL) : MDB_NOTFOUND;
	buf_free(&k);
	return error;
}

static enum table_status build_remove(struct table_builder *b, struct str key, struct err *err)
{
	struct lmdb_build *l = b->state;
	int error = remove_form(l, key, false);

	if (error == MDB_NOTFOUND)
		error = remove_form(l, key, true);
	if (!error)
		return TABLE_FOUND;
	if (error == MDB_NOTFOUND || error == MDB_BAD_VALSIZE)
		return TABLE_NOT_FOUND;
	err_set(err, "%s", mdb_strerror(error));
	return TABLE_RETRY;
}

static void build_abort(struct table_builder *b)
{
	struct lmdb_build *l = b->state;

	if (l->txn)
		mdb_txn_abort(l->txn);
	if (l->env)
		mdb_env_close(l->env);
	build_file_end(&l->file);
	x_free(&b->state);
}

static bool build_commit(struct table_builder *b, struct err *err)
{
	struct lmdb_build *l = b->state;
	int error = mdb_txn_commit(l->txn);
	bool ok = false;

	l->txn = NULL;
	if (!error)
		error = mdb_env_sync(l->env, 1);
	if (error)
		err_set(err, "write database %s: %s", l->file.path, mdb_strerror(error));
	else
		ok = build_file_replace(&l->file, err);
	build_abort(b);
	return ok;
}

static enum table_build_result build_put(
	struct table_builder *b, struct str key, struct str value, struct err *err)
{
	return key_fits(b->state, b, key, err) ? put_fitting(b, key, value, err) : BUILD_UNFIT;
}

const struct table_build_type lmdb_build_type = {.begin = build_begin,
	.put = build_put,
	.remove = build_remove,
	.commit = build_commit,
	.abort = build_abort};
