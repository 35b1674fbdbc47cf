/* A hostile or damaged queue file: header, envelope, records and content, read as the queue manager and the
 * agents read them. */
#include "spool/spool_private.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch_envelope(const struct envelope *e)
{
	size_t n = strlen(e->sender);

	for (size_t i = 0; i < e->recipient_count; i++)
		n += strlen(e->recipients[i].address) +
		     (e->recipients[i].last ? strlen(e->recipients[i].last->status) : 0);
	for (size_t i = 0; i < e->attribute_count; i++)
		n += strlen(e->attributes[i].name) + strlen(e->attributes[i].value);
	if (n == SIZE_MAX)
		abort();
}

static void read_file(const struct queue_id *id, int fd)
{
	struct pool *pool = pool_new(1024);
	struct envelope *e;
	struct stat st;

	if (fstat(fd, &st) == 0 && spool_load_open(fd, &st, id, pool, &e, NULL) == SPOOL_OK)
		touch_envelope(e);
	pool_free(&pool);
}

/* Checksums stop almost every mutation at the door, so the inner parsers are also fed directly. */
static void read_parts(const struct queue_id *id, const uint8_t *data, size_t size)
{
	struct pool *pool = pool_new(1024);
	struct envelope e = {.id = *id};
	struct buf records = BUF(1 << 20);
	struct cursor c;
	size_t half = size / 2, valid, mark;

	if (spool_envelope_decode(cursor_of(data, half), pool, &e, NULL)) {
		touch_envelope(&e);
		mark = spool_record_begin(
			&records, (enum spool_record_type)(half < size ? data[half] % 5 : 1));
		buf_add(&records, data + half, size - half);
		spool_record_end(&records, id, mark);
		c = cursor_of(records.data, records.len);
		if (spool_updates_apply(c, pool, &e, &valid, NULL))
			touch_envelope(&e);
	}
	buf_free(&records);
	pool_free(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct queue_id id = {"6420000000001"};
	int fd = memfd_create("queue_file", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, data, size) == (ssize_t)size)
		read_file(&id, fd);
	if (fd >= 0)
		close(fd);
	read_parts(&id, data, size);
	return 0;
}
