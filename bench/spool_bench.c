/*
 * What a message costs on disk: the spool as it is, and the bare system calls of the layouts it was chosen
 * from. Prints the median of each in microseconds. usage: spool_bench DIRECTORY [MESSAGES [BYTES]]
 */
#include "base/clock.h"
#include "spool/spool.h"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define POOL_FILES 64

struct bench {
	int dir;
	struct spool *spool;
	size_t count, size;
	char *data;
};

static bool through_spool(const struct bench *b, size_t i)
{
	struct spool_recipient to = {.address = "user@example.com"};
	struct envelope e = {.sender = "sender@example.org", .recipients = &to, .recipient_count = 1};
	struct spool_writer *w = spool_create(b->spool, QUEUE_INCOMING, NULL);

	return spool_content(w, (struct str){b->data, b->size}) && spool_commit(&w, &e, NULL) &&
	       spool_remove(b->spool, QUEUE_INCOMING, &e.id, NULL);
}

static int create(const struct bench *b, const char *name)
{
	return openat(b->dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

static bool finish(const struct bench *b, const char *name, int fd, bool ok)
{
	close(fd);
	return unlinkat(b->dir, name, 0) == 0 && ok;
}

static bool new_fsync(const struct bench *b, size_t i)
{
	int fd = create(b, "new");

	return finish(b, "new", fd, pwrite(fd, b->data, b->size, 0) > 0 && fsync(fd) == 0);
}

static bool new_fdatasync(const struct bench *b, size_t i)
{
	int fd = create(b, "new");

	return finish(b, "new", fd, pwrite(fd, b->data, b->size, 0) > 0 && fdatasync(fd) == 0);
}

static bool new_dsync_write(const struct bench *b, size_t i)
{
	struct iovec io = {b->data, b->size};
	int fd = create(b, "new");

	return finish(b, "new", fd, pwritev2(fd, &io, 1, 0, RWF_DSYNC) > 0);
}

static bool new_locked(const struct bench *b, size_t i)
{
	struct stat st;
	int fd = create(b, "new");
	bool ok = flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0;

	return finish(b, "new", fd, ok && pwrite(fd, b->data, b->size, 0) > 0 && fdatasync(fd) == 0);
}

static bool new_and_directory(const struct bench *b, size_t i)
{
	int fd = create(b, "new");
	bool ok = pwrite(fd, b->data, b->size, 0) > 0 && fdatasync(fd) == 0 && fsync(b->dir) == 0;

	return finish(b, "new", fd, ok);
}

static int pool_file(const struct bench *b, size_t i, char name[32])
{
	int fd;

	snprintf(name, 32, "pool%zu", i % POOL_FILES);
	fd = openat(b->dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (i < POOL_FILES && (pwrite(fd, b->data, b->size, 0) < 0 || fsync(fd) < 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The file's name says which message it holds. */
static bool recycled_renamed(const struct bench *b, size_t i)
{
	char name[32];
	int fd = pool_file(b, i, name);
	bool ok = renameat(b->dir, name, b->dir, "message") == 0 && pwrite(fd, b->data, b->size, 0) > 0 &&
		  fdatasync(fd) == 0;

	close(fd);
	return renameat(b->dir, "message", b->dir, name) == 0 && ok;
}

/* The header alone says which message it holds; the file is opened for each. */
static bool recycled_in_place(const struct bench *b, size_t i)
{
	char name[32];
	int fd = pool_file(b, i, name);
	bool ok = pwrite(fd, b->data, b->size, 0) > 0 && fdatasync(fd) == 0 && pwrite(fd, "free", 4, 0) > 0;

	close(fd);
	return ok;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void measure(const struct bench *b, const char *name, bool (*run)(const struct bench *b, size_t i))
{
	int64_t *times = x_alloc(b->count * sizeof(*times));
	bool ok = true;

	for (size_t i = 0; i < POOL_FILES; i++)
		ok = run(b, i) && ok;
	for (size_t i = 0; i < b->count; i++) {
		int64_t start = clock_mono();

		ok = run(b, i + POOL_FILES) && ok;
		times[i] = clock_mono() - start;
	}
	qsort(times, b->count, sizeof(*times), compare);
	printf("%-44s median %7.1f us   10th %7.1f   90th %7.1f%s\n", name, (double)times[b->count / 2] / 1e3,
		(double)times[b->count / 10] / 1e3, (double)times[b->count - b->count / 10 - 1] / 1e3,
		ok ? "" : "   FAILED");
	free(times);
}

static bool open_bench(struct bench *b, const char *directory)
{
	struct spool_options options = {.queue_directory = directory,
		.owner = geteuid(),
		.group = getegid(),
		.drop_group = getegid()};
	struct err err = {""};

	if (spool_make_directories(&options, &err))
		b->spool = spool_open(&options, &err);
	b->dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!b->spool)
		fprintf(stderr, "spool_bench: %s\n", err.text);
	return b->spool && b->dir >= 0;
}

int main(int argc, char **argv)
{
	struct bench b = {.count = argc > 2 ? strtoul(argv[2], NULL, 10) : 3000,
		.size = argc > 3 ? strtoul(argv[3], NULL, 10) : 10240};

	if (argc < 2 || b.count < 10 || b.size == 0 || !open_bench(&b, argv[1])) {
		fprintf(stderr, "usage: spool_bench DIRECTORY [MESSAGES [BYTES]]\n");
		return 2;
	}
	b.data = x_alloc(b.size);
	memset(b.data, 'x', b.size);
	measure(&b, "spool: create, commit, remove", through_spool);
	measure(&b, "new file, write, fsync, unlink", new_fsync);
	measure(&b, "new file, write, fdatasync, unlink", new_fdatasync);
	measure(&b, "new file, lock, write, fdatasync, unlink", new_locked);
	measure(&b, "new file, pwritev2(RWF_DSYNC), unlink", new_dsync_write);
	measure(&b, "new file, write, fdatasync, fsync dir, unlink", new_and_directory);
	measure(&b, "recycled file, rename, fdatasync, rename", recycled_renamed);
	measure(&b, "recycled file in place, fdatasync", recycled_in_place);
	spool_close(&b.spool);
	return 0;
}
