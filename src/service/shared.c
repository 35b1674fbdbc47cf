#include "service/shared.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
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

/* ---- keys of session tickets */

static void write_key(struct shared_ticket_key *k, const uint64_t words[SHARED_TICKET_WORDS], int64_t made)
{
	uint64_t version = atomic_load(&k->version);

	atomic_store(&k->version, version | 1);
	atomic_store(&k->made, made);
	for (size_t i = 0; i < SHARED_TICKET_WORDS; i++)
		atomic_store(&k->words[i], words[i]);
	atomic_store(&k->version, (version | 1) + 1);
}

static bool read_key(struct shared_ticket_key *k, unsigned char *out, int64_t *made)
{
	uint64_t version = atomic_load(&k->version), words[SHARED_TICKET_WORDS];
	bool good;

	*made = atomic_load(&k->made);
	for (size_t i = 0; i < SHARED_TICKET_WORDS; i++)
		words[i] = atomic_load(&k->words[i]);
	good = *made > 0 && version % 2 == 0 && atomic_load(&k->version) == version;
	if (good)
		memcpy(out, words, sizeof(words));
	explicit_bzero(words, sizeof(words));
	return good;
}

static void forget_keys(struct shared_area *a)
{
	const uint64_t nothing[SHARED_TICKET_WORDS] = {0};

	for (size_t i = 0; i < SHARED_TICKET_KEYS; i++)
		write_key(&a->ticket_keys[i], nothing, 0);
}

bool shared_turn_ticket_keys(struct shared_area *a, int seconds, struct err *err)
{
	struct shared_ticket_key *oldest = &a->ticket_keys[0], *newest = oldest;
	uint64_t words[SHARED_TICKET_WORDS];
	int64_t now = clock_mono();

	if (seconds == 0) {
		forget_keys(a);
		return true;
	}
	for (size_t i = 1; i < SHARED_TICKET_KEYS; i++) {
		struct shared_ticket_key *k = &a->ticket_keys[i];

		if (atomic_load(&k->made) < atomic_load(&oldest->made))
			oldest = k;
		if (atomic_load(&k->made) > atomic_load(&newest->made))
			newest = k;
	}
	if (atomic_load(&newest->made) > 0 && now - atomic_load(&newest->made) < seconds * NS_PER_SEC)
		return true;
	if (getrandom(words, sizeof(words), 0) != (ssize_t)sizeof(words))
		return err_errno(err, "random numbers for session tickets");
	write_key(oldest, words, now);
	explicit_bzero(words, sizeof(words));
	return true;
}

size_t shared_ticket_keys(
	struct shared_area *a, unsigned char out[SHARED_TICKET_KEYS][8 * SHARED_TICKET_WORDS])
{
	int64_t made[SHARED_TICKET_KEYS];
	size_t n = 0;

	for (size_t i = 0; i < SHARED_TICKET_KEYS; i++)
		if (read_key(&a->ticket_keys[i], out[n], &made[n]))
			n++;
	if (n == 2 && made[1] > made[0]) {
		unsigned char other[8 * SHARED_TICKET_WORDS];

		memcpy(other, out[0], sizeof(other));
		memcpy(out[0], out[1], sizeof(other));
		memcpy(out[1], other, sizeof(other));
		explicit_bzero(other, sizeof(other));
	}
	return n;
}

/* ---- load */

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
