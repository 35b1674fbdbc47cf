/*
 * The spool cut short: the scenario is killed at every step that changes the disk (before it, in the middle
 * of a write, after it), and power is taken away after every step with the disk left in many ways. After each
 * the spool recovers and must keep its promises. usage: spool_cuts DIRECTORY [DISKS-PER-STEP]
 */
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sys.h"
#include "check.h"
#include "disk.h"

enum cut { CUT_BEFORE, CUT_FIRST_PAGE, CUT_HALF, CUT_AFTER, CUTS };

struct run {
	size_t step, wanted; /* wanted: the step to cut at; SIZE_MAX: none */
	enum cut cut;
	struct promises promises;
	struct disk *disk;	     /* told, when not NULL */
	struct promises *after_step; /* after each step that the disk was told of */
	size_t after_cap;
};

struct tally {
	size_t cuts, failures;
};

/* ---- directories */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void fresh_directory(const char *directory)
{
	struct spool_options options = scenario_options(directory);
	struct err err = {""};

	nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (!spool_make_directories(&options, &err)) {
		fprintf(stderr, "spool_cuts: %s\n", err.text);
		exit(2);
	}
}

/* ---- kill */

/* What a write that was killed on its way has done: the kernel stops between pages. */
static void write_part(const struct step *s, size_t n)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)s->pid, s->fd);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || !sys_pwrite_all(fd, s->data.p, n, (off_t)s->at))
		exit(2);
	sys_close(&fd);
}

static bool before_step(void *arg, const struct step *s)
{
	struct run *r = arg;

	if (r->step != r->wanted || r->cut == CUT_AFTER)
		return true;
	if (r->cut == CUT_HALF && s->kind == STEP_WRITE)
		write_part(s, s->data.n / 2);
	if (r->cut == CUT_FIRST_PAGE && s->kind == STEP_WRITE)
		write_part(s, s->data.n < 4096 ? s->data.n / 3 : 4096);
	return false;
}

static void remember(struct run *r)
{
	size_t n = disk_steps(r->disk);

	if (n >= r->after_cap) {
		r->after_cap = 2 * n + 256;
		r->after_step = x_realloc(r->after_step, r->after_cap * sizeof(*r->after_step));
	}
	r->after_step[n] = r->promises;
}

static void hear(struct run *r, const struct step *s)
{
	char line[200];

	snprintf(line, sizeof(line), "%.*s", (int)s->data.n, s->data.p);
	promises_hear(&r->promises, line);
}

static bool after_step(void *arg, const struct step *s)
{
	struct run *r = arg;
	bool cut = r->step == r->wanted && r->cut == CUT_AFTER;

	if (s->kind == STEP_EVENT)
		hear(r, s);
	else if (r->disk)
		disk_add(r->disk, s);
	if (r->disk)
		remember(r);
	if (s->kind == STEP_EVENT)
		return true;
	r->step++;
	return !cut;
}

static const struct trace_ops ops = {before_step, after_step};

static void judge(struct tally *t, const char *directory, const struct promises *p, const char *what,
	size_t step, unsigned detail)
{
	t->cuts++;
	if (check_directory(directory, p))
		return;
	fprintf(stderr, "^^^ %s at step %zu (%u)\n", what, step, detail);
	t->failures++;
}

static void kill_everywhere(struct tally *t, const char *directory)
{
	int result = 1;

	for (size_t step = 0; result == 1; step++) {
		for (enum cut cut = CUT_BEFORE; cut < CUTS; cut++) {
			struct run r = {.wanted = step, .cut = cut};

			fresh_directory(directory);
			result = trace_run(scenario_run, directory, &ops, &r);
			judge(t, directory, &r.promises, "killed", step, cut);
			if (result < 0)
				t->failures++;
		}
	}
}

/* ---- power */

/* The table in shared memory after the boot: gone, empty, or from another moment; never with this boot's
 * mark. */
static void leave_table(const char *directory, unsigned seed)
{
	char *path = x_asprintf("%s/queue_id_sequence", directory);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint64_t noise[64];

	if (seed % 3 == 0)
		unlink(path);
	for (size_t i = 0; i < 64; i++)
		noise[i] = seed % 3 == 1 ? (i + seed) % 5 : UINT64_C(0xC9A0000000000) + i * seed;
	if (fd >= 0 && seed % 3 != 0 && !sys_pwrite_all(fd, noise, sizeof(noise), 48))
		exit(2);
	sys_close(&fd);
	x_free(&path);
}

static void lose_power(
	struct tally *t, const char *directory, const struct run *r, size_t steps, unsigned sample)
{
	enum disk_choice choice = sample == 0 ? DISK_ALL : sample == 1 ? DISK_LEAST : DISK_RANDOM;
	unsigned seed = (unsigned)steps * 1000 + sample;

	fresh_directory(directory);
	if (!disk_leave(r->disk, steps, choice, seed, directory)) {
		fprintf(stderr, "spool_cuts: cannot make the directory\n");
		exit(2);
	}
	leave_table(directory, seed);
	judge(t, directory, &r->after_step[steps], "power lost", steps, sample);
}

static void lose_power_everywhere(struct tally *t, const char *directory, unsigned samples)
{
	struct run r = {.wanted = SIZE_MAX};

	fresh_directory(directory);
	r.disk = disk_new(directory);
	remember(&r);
	if (trace_run(scenario_run, directory, &ops, &r) != 0) {
		fprintf(stderr, "spool_cuts: the scenario fails\n");
		exit(2);
	}
	for (size_t steps = 0; steps <= disk_steps(r.disk); steps++)
		for (unsigned sample = 0; sample < samples; sample++)
			lose_power(t, directory, &r, steps, sample);
	disk_free(&r.disk);
	x_free(&r.after_step);
}

int main(int argc, char **argv)
{
	unsigned samples = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 12;
	struct tally killed = {0}, dark = {0};

	if (argc < 2) {
		fprintf(stderr, "usage: spool_cuts DIRECTORY [DISKS-PER-STEP]\n");
		return 2;
	}
	kill_everywhere(&killed, argv[1]);
	lose_power_everywhere(&dark, argv[1], samples);
	nftw(argv[1], remove_one, 16, FTW_DEPTH | FTW_PHYS);
	printf("killed: %zu cuts, %zu failures; power lost: %zu disks, %zu failures\n", killed.cuts,
		killed.failures, dark.cuts, dark.failures);
	return killed.failures || dark.failures;
}
