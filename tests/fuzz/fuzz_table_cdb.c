/* A cdb: file of anybody's: the first line is a key, the rest the file. */
#include <fcntl.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sys.h"
#include "table/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[] = "/tmp/fuzz-cdb-XXXXXX";

static void clean_up(void)
{
	char *path = x_asprintf("%s/x.cdb", directory);

	unlink(path);
	rmdir(directory);
	x_free(&path);
}

static void write_file(struct str content)
{
	static bool made;
	char *path;
	int fd;

	if (!made && !mkdtemp(directory))
		abort();
	if (!made)
		atexit(clean_up);
	made = true;
	path = x_asprintf("%s/x.cdb", directory);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || !sys_write_all(fd, content.p, content.n))
		abort();
	sys_close(&fd);
	x_free(&path);
}

static bool add_entry(void *arg, struct str key, struct str value)
{
	size_t *sum = arg;

	for (size_t i = 0; i < key.n; i++)
		*sum += (unsigned char)key.p[i];
	for (size_t i = 0; i < value.n; i++)
		*sum += (unsigned char)value.p[i];
	return *sum < 10000000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = {(const char *)data, size};
	ptrdiff_t end = str_find(rest, '\n');
	const struct str key = str_first(rest, end < 0 ? 0 : (size_t)end);
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct err err = {""};
	struct table *t;
	char *spec;
	size_t sum = 0;

	write_file(str_from(rest, key.n + (end >= 0)));
	spec = x_asprintf("cdb:%s/x", directory);
	t = table_open(spec, 0, &err);
	if (t) {
		table_lookup(t, key, &value, &err);
		table_each(t, add_entry, &sum, &err);
	}
	table_close(&t);
	x_free(&spec);
	buf_free(&value);
	return 0;
}
