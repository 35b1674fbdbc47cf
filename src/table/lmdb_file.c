#include "table/lmdb_file.h"

#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

char *lmdb_file_path(const char *type, const char *name)
{
	return x_asprintf("%s.%s", name, strcmp(type, "lmdb") == 0 ? "lmdb" : "db");
}

const char *lmdb_file_reason(int error)
{
	if (error == MDB_INVALID || error == MDB_VERSION_MISMATCH)
		return "not an LMDB file; run postmap to build it again";
	return mdb_strerror(error);
}

static int open_database(MDB_env *env, MDB_dbi *dbi)
{
	MDB_txn *txn;
	int error = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

	if (error)
		return error;
	error = mdb_dbi_open(txn, NULL, 0, dbi);
	if (error)
		mdb_txn_abort(txn);
	else
		error = mdb_txn_commit(txn);
	return error;
}

MDB_env *lmdb_file_open(const char *path, MDB_dbi *dbi, struct err *err)
{
	const unsigned flags = MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS;
	MDB_env *env;
	int error = mdb_env_create(&env);

	if (error) {
		err_set(err, "open database %s: %s", path, mdb_strerror(error));
		return NULL;
	}
	error = access(path, F_OK) < 0 ? errno : mdb_env_open(env, path, flags, 0);
	if (!error)
		error = open_database(env, dbi);
	if (error) {
		err_set(err, "open database %s: %s", path, lmdb_file_reason(error));
		mdb_env_close(env);
		return NULL;
	}
	return env;
}
