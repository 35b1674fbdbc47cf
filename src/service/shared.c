#include "service/shared.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"

int shared_create(struct err *err)
{
	int fd = memfd_create("postern-shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0) {
		err_errno(err, "create shared memory");
		return -1;
	}
	if (ftruncate(fd, (off_t)sizeof(struct shared_area)) != 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
		err_errno(err, "size shared memory");
		close(fd);
		return -1;
	}
	return fd;
}

struct shared_area *shared_map(int fd, struct err *err)
{
	int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
	void *p = mmap(NULL, sizeof(struct shared_area), PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED) {
		err_errno(err, "map shared memory");
		return NULL;
	}
	return p;
}

struct shared_worker_sum shared_sum(struct shared_service *s)
{
	struct shared_worker_sum sum = {0};

	for (size_t i = 0; i < SHARED_WORKERS; i++) {
		struct shared_worker *w = &s->workers[i];

		sum.slots += atomic_load_explicit(&w->slots, memory_order_relaxed);
		sum.running += atomic_load_explicit(&w->running, memory_order_relaxed);
		sum.queued += atomic_load_explicit(&w->queued, memory_order_relaxed);
		sum.parked += atomic_load_explicit(&w->parked, memory_order_relaxed);
		sum.sessions += atomic_load_explicit(&w->sessions, memory_order_relaxed);
	}
	return sum;
}

static int used(struct shared_worker *w)
{
	return atomic_load_explicit(&w->running, memory_order_relaxed) +
	       atomic_load_explicit(&w->queued, memory_order_relaxed);
}

bool shared_others_free(struct shared_service *s, const struct shared_worker *w)
{
	for (size_t i = 0; i < SHARED_WORKERS; i++) {
		struct shared_worker *other = &s->workers[i];

		if (other != w && !atomic_load_explicit(&other->closed, memory_order_relaxed) &&
			used(other) < atomic_load_explicit(&other->slots, memory_order_relaxed))
			return true;
	}
	return false;
}

/* A task that waits while its process still has slots is about to get one. */
static bool somebody_waits(struct shared_service *s)
{
	for (size_t i = 0; i < SHARED_WORKERS; i++) {
		struct shared_worker *w = &s->workers[i];

		if (atomic_load_explicit(&w->queued, memory_order_relaxed) > 0 &&
			atomic_load_explicit(&w->running, memory_order_relaxed) >=
				atomic_load_explicit(&w->slots, memory_order_relaxed))
			return true;
	}
	return false;
}

/* The only slot of a service is always busy with the session that asks. */
static bool all_busy(struct shared_service *s)
{
	struct shared_worker_sum sum = shared_sum(s);

	return sum.slots > 1 && sum.running >= sum.slots;
}

bool shared_check_stress(struct shared_service *s)
{
	int64_t now = clock_mono();

	if (all_busy(s) || somebody_waits(s)) {
		atomic_store(&s->stressed_until, now + SHARED_STRESS_HOLD * NS_PER_SEC);
		return true;
	}
	return atomic_load(&s->stressed_until) > now;
}
