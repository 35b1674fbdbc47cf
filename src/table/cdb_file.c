#include "table/cdb_file.h"

#include <errno.h>
#include <fcntl.h>

#include "base/mem.h"
#include "base/sys.h"

char *cdb_file_path(const char *name)
{
	return x_asprintf("%s.cdb", name);
}

bool cdb_file_open(const char *path, struct cdb *out, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, "open database %s", path);
	if (cdb_init(out, fd) == 0)
		return true;
	if (errno == EPROTO)
		err_set(err, "open database %s: not a CDB file; run postmap to build it again", path);
	else
		err_errno(err, "open database %s", path);
	sys_close(&fd);
	return false;
}

void cdb_file_close(struct cdb *file)
{
	int fd = cdb_fileno(file);

	cdb_free(file);
	sys_close(&fd);
}

struct str cdb_file_text(const void *p, size_t n)
{
	const char *text = p;

	return (struct str){text, n && text[n - 1] == '\0' ? n - 1 : n};
}

bool cdb_file_each(const struct cdb *file, table_entry_fn entry, void *arg, struct err *err)
{
	struct cdb at = *file;
	unsigned position;
	int more;

	cdb_seqinit(&position, &at);
	while ((more = cdb_seqnext(&position, &at)) > 0) {
		const void *key = cdb_getkey(&at), *value = cdb_getdata(&at);

		if (!key || !value)
			break;
		if (!entry(arg, cdb_file_text(key, cdb_keylen(&at)), cdb_file_text(value, cdb_datalen(&at))))
			return true;
	}
	return more == 0 || err_set(err, "the file is damaged");
}
