#include "table/cache_file.h"

#include <lmdb.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/sys.h"
#include "base/sys_identity.h"
#include "config/config.h"
#include "table/lmdb_file.h"

#define MAP_SIZE ((size_t)1 << 30) /* the file grows as needed up to this */
#define READERS 4096		   /* threads of all processes that read at a moment */
#define REOPEN_SECONDS 5
#define SWEEP_STEP 500 /* entries between which others may write */
#define CARE_STEP 4    /* entries looked at when one is stored */

struct cache_file {
	char *path;	  /* const, as are */
	const char *what; /* in messages */
	size_t value_max;
	uid_t owner;
	gid_t group;
	pthread_mutex_t lock; /* of opening: env, next_try and why */
	MDB_env *env;	      /* NULL: not open; set once */
	MDB_dbi dbi;
	int64_t next_try; /* clock_mono() */
	struct err why;
};

char *cache_file_path(const char *parameter, const char *map, const char *default_type, struct err *err)
{
	struct str text = str_trim(str_c(map)), type;
	char *name, *type_name, *path = NULL;
	ptrdiff_t colon;

	if (str_starts(text, STR("proxy:")))
		text = str_from(text, 6);
	colon = str_find(text, ':');
	type = colon < 0 ? str_c(text.n ? default_type : "") : str_first(text, (size_t)colon);
	if (!str_is(type, "lmdb") && !str_is(type, "btree") && !str_is(type, "hash")) {
		err_set(err, "%s: %s: lmdb:, btree: or hash: is wanted, not \"" STR_FMT "\"", parameter, map,
			STR_ARG(type));
		return NULL;
	}
	name = x_strndup(text.p + colon + 1, text.n - (size_t)(colon + 1));
	type_name = x_strndup(type.p, type.n);
	path = lmdb_file_path(type_name, name);
	x_free(&type_name);
	x_free(&name);
	return path;
}

bool cache_file_redirect(const struct config *cfg, char **path)
{
	ptrdiff_t slash = str_rfind(str_c(*path), '/');
	char *folder = slash > 0 ? x_strndup(*path, (size_t)slash) : x_strdup(slash < 0 ? "." : "/");
	struct err err = {""};
	struct stat st;
	uid_t owner;
	bool elsewhere = sys_user(cfg->mail_owner, &owner, NULL, &err) &&
			 (stat(folder, &st) != 0 || st.st_uid != owner) &&
			 strcmp(folder, cfg->data_directory) != 0;

	if (elsewhere) {
		char *name = x_strdup(*path + slash + 1);

		x_free(path);
		*path = x_asprintf("%s/%s", cfg->data_directory, name);
		x_free(&name);
	}
	x_free(&folder);
	return elsewhere;
}

struct cache_file *cache_file_new(
	const struct config *cfg, const char *what, const char *path, size_t value_max, struct err *err)
{
	uid_t owner = (uid_t)-1;
	gid_t group = (gid_t)-1;
	struct cache_file *c;

	if (geteuid() == 0 && !sys_user(cfg->mail_owner, &owner, &group, err))
		return NULL;
	c = x_alloc(sizeof(*c));
	c->what = what;
	c->path = x_strdup(path);
	c->value_max = value_max;
	c->owner = owner;
	c->group = group;
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void cache_file_free(struct cache_file **cache)
{
	struct cache_file *c = *cache;

	if (!c)
		return;
	if (c->env)
		mdb_env_close(c->env);
	pthread_mutex_destroy(&c->lock);
	x_free(&c->path);
	x_free(cache);
}

const char *cache_file_name(const struct cache_file *c)
{
	return c->path;
}

static bool failed(const struct cache_file *c, int error, struct err *err)
{
	return err_set(err, "%s %s: %s", c->what, c->path, mdb_strerror(error));
}

/* ---- opening */

static int open_file(struct cache_file *c, MDB_env **env)
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
static bool open_as_owner(struct cache_file *c)
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

static bool ready(struct cache_file *c, bool at_once, struct err *err)
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

bool cache_file_ready(struct cache_file *c, struct err *err)
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

enum cache_found cache_file_get(struct cache_file *c, struct str key, struct buf *value, struct err *err)
{
	MDB_val k = val(key), v;
	MDB_txn *txn;
	int error;

	if (!cache_file_ready(c, err))
		return CACHE_TROUBLE;
	error = mdb_txn_begin(c->env, NULL, MDB_RDONLY, &txn);
	if (!error) {
		error = mdb_get(txn, c->dbi, &k, &v);
		if (!error && !buf_str(value, slice(v)))
			error = MDB_CORRUPTED;
		mdb_txn_abort(txn);
	}
	if (error && error != MDB_NOTFOUND) {
		failed(c, error, err);
		return CACHE_TROUBLE;
	}
	return error ? CACHE_ABSENT : CACHE_FOUND;
}

static int change_in(struct cache_file *c, MDB_txn *txn, struct str key, cache_change_fn *change, void *arg)
{
	struct buf value = BUF(c->value_max);
	MDB_val k = val(key), v = {0, NULL};
	int error = mdb_get(txn, c->dbi, &k, &v);

	if (error && error != MDB_NOTFOUND)
		return error;
	switch (change(arg, error == 0, slice(v), &value)) {
	case CACHE_PUT:
		v = val(buf_slice(&value));
		error = mdb_put(txn, c->dbi, &k, &v, 0);
		break;
	case CACHE_DROP:
		error = error ? 0 : mdb_del(txn, c->dbi, &k, NULL);
		break;
	case CACHE_KEEP:
		error = 0;
		break;
	}
	buf_free(&value);
	return error;
}

static int finish(MDB_txn *txn, int error)
{
	if (!error)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return error;
}

bool cache_file_change(
	struct cache_file *c, struct str key, cache_change_fn *change, void *arg, struct err *err)
{
	MDB_txn *txn;
	int error;

	if (!ready(c, true, err))
		return false;
	error = mdb_txn_begin(c->env, NULL, 0, &txn);
	if (error)
		return failed(c, error, err);
	error = finish(txn, change_in(c, txn, key, change, arg));
	return error == 0 || failed(c, error, err);
}

/* ---- storing */

static bool goes(const struct cache_care *care, MDB_val value, size_t excess)
{
	return excess > 0 || care->drop(care->arg, slice(value));
}

/* Of the few entries behind the one just put, around the end. */
static int take_care(MDB_cursor *cursor, MDB_val *k, const struct cache_care *care, size_t excess)
{
	char own[CACHE_KEY_MAX];
	struct str stored = {own, k->mv_size < sizeof(own) ? k->mv_size : sizeof(own)};
	MDB_val v;
	int error = 0;

	memcpy(own, k->mv_data, stored.n);
	for (int n = 0; !error && n < CARE_STEP; n++) {
		error = mdb_cursor_get(cursor, k, &v, MDB_NEXT);
		if (error == MDB_NOTFOUND)
			error = mdb_cursor_get(cursor, k, &v, MDB_FIRST);
		if (error || str_eq(slice(*k), stored))
			break;
		if (goes(care, v, excess)) {
			error = mdb_cursor_del(cursor, 0);
			excess -= excess > 0;
		}
	}
	return error == MDB_NOTFOUND ? 0 : error;
}

static int store_in(
	struct cache_file *c, MDB_txn *txn, struct str key, struct str value, const struct cache_care *care)
{
	MDB_val k = val(key), v = val(value);
	MDB_cursor *cursor;
	MDB_stat st;
	int error = mdb_cursor_open(txn, c->dbi, &cursor);

	if (error)
		return error;
	error = mdb_cursor_put(cursor, &k, &v, 0);
	if (!error)
		error = mdb_stat(txn, c->dbi, &st);
	if (!error)
		error = take_care(
			cursor, &k, care, st.ms_entries > care->most ? st.ms_entries - care->most : 0);
	mdb_cursor_close(cursor);
	return error;
}

bool cache_file_store(struct cache_file *c, struct str key, struct str value, const struct cache_care *care,
	struct err *err)
{
	MDB_txn *txn;
	int error;

	if (!cache_file_ready(c, err))
		return false;
	if (key.n == 0 || key.n > CACHE_KEY_MAX || value.n > c->value_max)
		return failed(c, MDB_BAD_VALSIZE, err);
	error = mdb_txn_begin(c->env, NULL, 0, &txn);
	if (error)
		return failed(c, error, err);
	error = finish(txn, store_in(c, txn, key, value, care));
	return error == 0 || failed(c, error, err);
}

/* ---- sweeping */

struct sweep {
	struct buf key; /* of the last entry seen; empty: none yet */
	cache_drop_fn *drop;
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

static int sweep_step(struct cache_file *c, struct sweep *s)
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
	return finish(txn, error);
}

bool cache_file_sweep(struct cache_file *c, cache_drop_fn *drop, void *arg, struct err *err)
{
	struct sweep s = {.key = BUF(CACHE_KEY_MAX), .drop = drop, .arg = arg};
	int error = 0;

	if (!cache_file_ready(c, err))
		return false;
	while (!error && !s.end)
		error = sweep_step(c, &s);
	buf_free(&s.key);
	return error == 0 || failed(c, error, err);
}
