/* How CDB files are made: entries are collected in memory, and written in their order when all are there. An
 * existing file can so be the beginning of a new one. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sys.h"
#include "table/build_file.h"
#include "table/cdb_file.h"
#include "table/table_type.h"

struct cdb_build {
	struct build_file file;
	struct hash *entries;
};

static bool take_old(void *arg, struct str key, struct str value)
{
	entries_add(arg, key, value, false);
	return true;
}

static bool read_old(struct cdb_build *c, struct err *err)
{
	struct cdb old;
	bool ok;

	if (access(c->file.path, F_OK) != 0)
		return errno == ENOENT || err_errno(err, "open database %s", c->file.path);
	if (!cdb_file_open(c->file.path, &old, err))
		return false;
	ok = cdb_file_each(&old, take_old, c->entries, err) ||
	     err_prefix(err, "read database %s", c->file.path);
	cdb_file_close(&old);
	return ok;
}

static bool build_begin(struct table_builder *b, const char *type, const char *name, struct err *err)
{
	struct cdb_build *c = x_alloc(sizeof(*c));

	b->state = c;
	c->entries = hash_new(entries_free);
	return build_file_begin(&c->file, cdb_file_path(name), b->options.mode, err) &&
	       (!b->options.incremental || read_old(c, err));
}

static enum table_build_result build_put(
	struct table_builder *b, struct str key, struct str value, struct err *err)
{
	struct cdb_build *c = b->state;

	return entries_add(c->entries, key, value, b->options.replace) ? BUILD_ADDED : BUILD_DUPLICATE;
}

static enum table_status build_remove(struct table_builder *b, struct str key, struct err *err)
{
	struct cdb_build *c = b->state;

	return hash_delete(c->entries, key) ? TABLE_FOUND : TABLE_NOT_FOUND;
}

static void build_abort(struct table_builder *b)
{
	struct cdb_build *c = b->state;

	hash_free(&c->entries);
	build_file_end(&c->file);
	x_free(&b->state);
}

struct writing {
	struct cdb_make make;
	bool with_nul, ok;
};

/* The bytes behind keys and values in memory are NUL. */
static bool write_entry(void *arg, struct str key, struct str value)
{
	struct writing *w = arg;

	w->ok = cdb_make_add(&w->make, key.p, (unsigned)key.n + w->with_nul, value.p,
			(unsigned)value.n + w->with_nul) == 0;
	return w->ok;
}

static bool write_entries(const struct hash *entries, int fd, bool with_nul)
{
	struct writing w = {.with_nul = with_nul, .ok = true};

	if (cdb_make_start(&w.make, fd) != 0)
		return false;
	entries_each(entries, write_entry, &w);
	return cdb_make_finish(&w.make) == 0 && w.ok && fsync(fd) == 0;
}

static bool write_file(struct cdb_build *c, bool with_nul, struct err *err)
{
	int fd = open(c->file.temporary, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	bool ok = fd >= 0 && write_entries(c->entries, fd, with_nul);

	if (!ok)
		err_errno(err, "write database %s", c->file.path);
	sys_close(&fd);
	return ok;
}

static bool build_commit(struct table_builder *b, struct err *err)
{
	struct cdb_build *c = b->state;
	bool ok = write_file(c, b->options.with_nul, err) && build_file_replace(&c->file, err);

	build_abort(b);
	return ok;
}

const struct table_build_type cdb_build_type = {.begin = build_begin,
	.put = build_put,
	.remove = build_remove,
	.commit = build_commit,
	.abort = build_abort};
