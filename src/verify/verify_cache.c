#include "verify/verify_cache.h"

#include <lmdb.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/sys_identity.h"
#include "table/lmdb_file.h"
#include "verify/verify_entry.h"

#define MAP_SIZE ((size_t)1 << 30) /* the file grows as needed up to this */
#define READERS 4096		   /* threads of all processes that read at a moment */
#define REOPEN_SECONDS 5
#define SWEEP_STEP 500 /* entries between which others may write */

struct verify_cache {
	char *path; /* const */
	uid_t owner;
	gid_t group;
	pthread_mutex_t lock; /* of opening: env, next_try and why */
	MDB_env *env;	      /* NULL: not open; set once */
	MDB_dbi dbi;
	int64_t next_try; /* clock_mono() */
	struct err why;
};

struct verify_cache *verify_cache_new(const char *path, uid_t owner, gid_t group)
{
	struct verify_cache *c = x_alloc(sizeof(*c));

	c->path = x_strdup(path);
	c->owner = owner;
	c->group = group;
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void verify_cache_free(struct verify_cache **cache)
{
	struct verify_cache *c = *cache;

	if (!c)
		return;
	if (c->env)
		mdb_env_close(c->env);
	pthread_mutex_destroy(&c->lock);
	x_free(&c->path);
	x_free(cache);
}

const char *verify_cache_path(const struct verify_cache *c)
{
	return c->path;
}

static bool failed(const struct verify_cache *c, int error, struct err *err)
{
	return err_set(err, "address verification cache %s: %s", c->path, mdb_strerror(error));
}

/* ---- opening */

static int open_file(struct verify_cache *c, MDB_env **env)
{
	const unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NOMETASYNC;
	int dead, error = mdb_env_create(env);

	if (error)
		return error;
	mdb_env_set_mapsize(*env, MAP_SIZE);
	mdb_env_set_maxreaders(*env, READERS);
	error = lmdb_env_open(*env, c->path, flags, &c->dbi);
	if (!error)
		error = mdb_reader_check(*env, &dead);
	if (error) {
		mdb_env_close(*env);
		*env = NULL;
	}
	return error;
}

/* As the owner: root follows nobody's links here. */
static bool open_as_owner(struct verify_cache *c)
{
	struct sys_identity saved = {0};
	int error;

	if (c->owner != (uid_t)-1 && !sys_act_as(&saved, c->owner, c->group, &c->why))
		return false;
	error = open_file(c, &c->env);
	if (c->owner != (uid_t)-1)
		sys_act_back(&saved);
	return error == 0 || failed(c, error, &c->why);
}

static bool ready(struct verify_cache *c, bool at_once, struct err *err)
{
	bool open;

	pthread_mutex_lock(&c->lock);
	if (!c->env && (at_once || clock_mono() >= c->next_try)) {
		c->next_try = deadline_in(REOPEN_SECONDS);
		open_as_owner(c);
	}
	open = c->env != NULL;
	if (!open)
		err_set(err, "%s", c->why.text);
	pthread_mutex_unlock(&c->lock);
	return open;
}

bool verify_cache_ready(struct verify_cache *c, struct err *err)
{
	return ready(c, false, err);
}

/* ---- entries */

static MDB_val val(struct str s)
{
	return (MDB_val){s.n, (void *)(uintptr_t)s.p};
}

static struct str slice(MDB_val v)
{
	return (struct str){v.mv_data, v.mv_size};
}

enum verify_found verify_cache_get(struct verify_cache *c, struct str key, struct buf *value, struct err *err)
{
	MDB_val k = val(key), v;
	MDB_txn *txn;
	int error;

	if (!verify_cache_ready(c, err))
		return VERIFY_TROUBLE;
	error = mdb_txn_begin(c->env, NULL, MDB_RDONLY, &txn);
	if (!error) {
		error = mdb_get(txn, c->dbi, &k, &v);
		if (!error && !buf_str(value, slice(v)))
			error = MDB_CORRUPTED;
		mdb_txn_abort(txn);
	}
	if (error && error != MDB_NOTFOUND) {
		failed(c, error, err);
		return VERIFY_TROUBLE;
	}
	return error ? VERIFY_ABSENT : VERIFY_FOUND;
}

static int change_in(
	struct verify_cache *c, MDB_txn *txn, struct str key, verify_change_fn *change, void *arg)
{
	struct buf value = BUF(VERIFY_VALUE_MAX);
	MDB_val k = val(key), v = {0, NULL};
	int error = mdb_get(txn, c->dbi, &k, &v);

	if (error && error != MDB_NOTFOUND)
		return error;
	switch (change(arg, error == 0, slice(v), &value)) {
	case VERIFY_PUT:
		v = val(buf_slice(&value));
		error = mdb_put(txn, c->dbi, &k, &v, 0);
		break;
	case VERIFY_DROP:
		error = error ? 0 : mdb_del(txn, c->dbi, &k, NULL);
		break;
	case VERIFY_KEEP:
		error = 0;
		break;
	}
	buf_free(&value);
	return error;
}

bool verify_cache_change(
	struct verify_cache *c, struct str key, verify_change_fn *change, void *arg, struct err *err)
{
	MDB_txn *txn;
	int error;

	if (!ready(c, true, err))
		return false;
	error = mdb_txn_begin(c->env, NULL, 0, &txn);
	if (error)
		return failed(c, error, err);
	error = change_in(c, txn, key, change, arg);
	if (error)
		mdb_txn_abort(txn);
	else
		error = mdb_txn_commit(txn);
	return error == 0 || failed(c, error, err);
}

/* ---- sweeping */

struct sweep {
	struct buf key; /* of the last entry seen; empty: none yet */
	verify_drop_fn *drop;
	void *arg;
	bool end;
};

/* The first entry after the last one seen. */
static int resume(MDB_cursor *cursor, struct sweep *s, MDB_val *k, MDB_val *v)
{
	int error;

	if (s->key.len == 0)
		return mdb_cursor_get(cursor, k, v, MDB_FIRST);
	*k = val(buf_slice(&s->key));
	error = mdb_cursor_get(cursor, k, v, MDB_SET_RANGE);
	if (!error && str_eq(slice(*k), buf_slice(&s->key)))
		error = mdb_cursor_get(cursor, k, v, MDB_NEXT);
	return error;
}

static int sweep_entries(MDB_cursor *cursor, struct sweep *s)
{
	MDB_val k, v;
	int error = resume(cursor, s, &k, &v);

	for (int n = 0; !error && n < SWEEP_STEP; n++) {
		buf_clear(&s->key);
		buf_str(&s->key, slice(k));
		if (s->drop(s->arg, slice(v)))
			error = mdb_cursor_del(cursor, 0);
		if (!error)
			error = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	s->end = error == MDB_NOTFOUND;
	return s->end ? 0 : error;
}

static int sweep_step(struct verify_cache *c, struct sweep *s)
{
	MDB_cursor *cursor;
	MDB_txn *txn;
	int error = mdb_txn_begin(c->env, NULL, 0, &txn);

	if (error)
		return error;
	error = mdb_cursor_open(txn, c->dbi, &cursor);
	if (!error) {
		error = sweep_entries(cursor, s);
		mdb_cursor_close(cursor);
	}
	if (error)
		mdb_txn_abort(txn);
	else
		error = mdb_txn_commit(txn);
	return error;
}

bool verify_cache_sweep(struct verify_cache *c, verify_drop_fn *drop, void *arg, struct err *err)
{
	struct sweep s = {.key = BUF(VERIFY_KEY_MAX), .drop = drop, .arg = arg};
	int error = 0;

	if (!verify_cache_ready(c, err))
		return false;
	while (!error && !s.end)
		error = sweep_step(c, &s);
	buf_free(&s.key);
	return error == 0 || failed(c, error, err);
}
