#include "table/lmdb_file.h"

#include "base/mem.h"
#include "base/sys.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

char *lmdb_file_path(const char *type, const char *name)
{
	return x_asprintf("%s.%s", name, strcmp(type, "lmdb") == 0 ? "lmdb" : "db");
}

/* The number at the 12th byte of a hash or btree file, in either byte order. */
static bool is_berkeley(const char *path)
{
	static const uint32_t numbers[] = {0x00061561, 0x61150600, 0x00053162, 0x62310500};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint32_t number = 0;

	if (fd < 0)
		return false;
	if (sys_pread_all(fd, &number, sizeof(number), 12) != sizeof(number))
		number = 0;
	sys_close(&fd);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		if (number == numbers[i])
			return true;
	}
	return false;
}

char *lmdb_file_find(const char *type, const char *name)
{
	char *path = lmdb_file_path(type, name), *other;

	if (access(path, F_OK) == 0 && !is_berkeley(path))
		return path;
	other = lmdb_file_path("lmdb", name);
	if (access(other, F_OK) == 0) {
		x_free(&path);
		return other;
	}
	x_free(&other);
	return path;
}

const char *lmdb_file_reason(const char *path, int error)
{
	if (error == MDB_INVALID && is_berkeley(path))
		return "a Berkeley DB file; build it again from its source with postmap or, if it holds "
		       "aliases, postalias";
	if (error == MDB_INVALID || error == MDB_VERSION_MISMATCH)
		return "not an LMDB file; run postmap to build it again";
	return mdb_strerror(error);
}

static int open_database(MDB_env *env, unsigned flags, MDB_dbi *dbi)
{
	MDB_txn *txn;
	int error = mdb_txn_begin(env, NULL, flags & MDB_RDONLY, &txn);

	if (error)
		return error;
	error = mdb_dbi_open(txn, NULL, 0, dbi);
	if (error)
		mdb_txn_abort(txn);
	else
		error = mdb_txn_commit(txn);
	return error;
}

/* LMDB leaves its descriptor to programs that we start. */
static int keep_private(MDB_env *env)
{
	int fd, error = mdb_env_get_fd(env, &fd);

	if (!error && fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		error = errno;
	return error;
}

int lmdb_env_open(MDB_env *env, const char *path, unsigned flags, MDB_dbi *dbi)
{
	int error = mdb_env_open(env, path, flags, 0600);

	if (!error)
		error = keep_private(env);
	return error ? error : open_database(env, flags, dbi);
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
	error = access(path, F_OK) < 0 ? errno : lmdb_env_open(env, path, flags, dbi);
	if (error) {
		err_set(err, "open database %s: %s", path, lmdb_file_reason(path, error));
		mdb_env_close(env);
		return NULL;
	}
	return env;
}
