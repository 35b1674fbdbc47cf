/*
 * Queue ids never repeat: the number of the next one is the time, or the last one's successor when that is
 * not behind the time. The last one is kept in a file that every process of the mail system maps. Who may not
 * write it (a user's postdrop) takes the time; the exclusive creation of the file sees to the rest.
 */
#include "base/clock.h"
#include "base/sys.h"
#include "spool/spool_private.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_NAME "queue_id_sequence"
#define YEAR_US (UINT64_C(365) * 86400 * 1000000)

static int open_file(int root, int flags)
{
	return openat(root, FILE_NAME, O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
}

/* Never made smaller: others have it mapped. */
static bool grow(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       (st.st_size >= (off_t)sizeof(struct spool_shared) ||
		       ftruncate(fd, sizeof(struct spool_shared)) == 0);
}

bool spool_shared_make(int root, uid_t owner, gid_t group, struct err *err)
{
	int fd = open_file(root, O_CREAT);
	bool ok = fd >= 0 && grow(fd) && (geteuid() != 0 || fchown(fd, owner, group) == 0);

	if (!ok)
		err_errno(err, "%s", FILE_NAME);
	sys_close(&fd);
	return ok;
}

static struct spool_shared *map_file(int fd)
{
	void *p = grow(fd)
			  ? mmap(NULL, sizeof(struct spool_shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
			  : MAP_FAILED;

	return p == MAP_FAILED ? NULL : p;
}

static void read_boot(char *out, size_t size)
{
	struct buf text = BUF(4096);
	struct str id;

	if (sys_read_file("/proc/sys/kernel/random/boot_id", &text, NULL)) {
		id = str_first(str_trim(buf_slice(&text)), size - 1);
		memcpy(out, id.p, id.n);
	}
	buf_free(&text);
}

void spool_shared_open(struct spool *s)
{
	int fd = open_file(s->root, 0);

	if (fd < 0 && errno == ENOENT && spool_shared_make(s->root, s->owner, s->group, NULL))
		fd = open_file(s->root, 0);
	if (fd >= 0)
		s->shared = map_file(fd);
	sys_close(&fd);
	if (s->shared)
		read_boot(s->boot, sizeof(s->boot));
}

void spool_shared_close(struct spool *s)
{
	if (s->shared)
		munmap(s->shared, sizeof(*s->shared));
	s->shared = NULL;
}

/* A number far ahead of the clock comes from a damaged file or a clock long since put right; files are
 * created exclusively in any case. */
static uint64_t successor(uint64_t last, uint64_t now)
{
	return last >= now && last < now + YEAR_US ? last + QUEUE_ID_STEP : now;
}

uint64_t spool_sequence_next(const struct spool *s)
{
	uint64_t now = (uint64_t)clock_real() / QUEUE_ID_STEP * QUEUE_ID_STEP;
	uint64_t last, next;

	if (!s->shared)
		return now;
	last = atomic_load(&s->shared->last);
	do
		next = successor(last, now);
	while (!atomic_compare_exchange_weak(&s->shared->last, &last, next));
	return next;
}
