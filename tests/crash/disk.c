#include "disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sys.h"

#define PAGE 4096u
#define PATH_SIZE 100
#define FILES_MAX 256

struct entry {
	enum step_kind kind;
	int file;			     /* -1: none */
	char path[PATH_SIZE], to[PATH_SIZE]; /* relative */
	char *data;
	size_t n;
	uint64_t at, size; /* size: the file's after the step */
	bool data_only;
};

struct file {
	ino_t inode; /* 0: gone */
	uint64_t size;
};

struct disk {
	char *directory;
	struct entry *entries;
	size_t count, cap;
	struct file files[FILES_MAX];
	int file_count;
};

/* The names at some moment. */
struct names {
	struct {
		char path[PATH_SIZE];
		int file;
	} at[FILES_MAX];
	size_t count;
};

struct disk *disk_new(const char *directory)
{
	struct disk *d = x_alloc(sizeof(*d));

	d->directory = x_strdup(directory);
	return d;
}

size_t disk_steps(const struct disk *d)
{
	return d->count;
}

void disk_free(struct disk **d)
{
	for (size_t i = 0; i < (*d)->count; i++)
		x_free(&(*d)->entries[i].data);
	x_free(&(*d)->entries);
	x_free(&(*d)->directory);
	x_free(d);
}

/* ---- names */

static int name_find(const struct names *n, const char *path)
{
	for (size_t i = 0; i < n->count; i++)
		if (strcmp(n->at[i].path, path) == 0)
			return (int)i;
	return -1;
}

static void name_remove(struct names *n, const char *path)
{
	int i = name_find(n, path);

	if (i >= 0)
		n->at[i] = n->at[--n->count];
}

static void name_add(struct names *n, const char *path, int file)
{
	name_remove(n, path);
	if (n->count >= FILES_MAX)
		abort();
	memcpy(n->at[n->count].path, path, PATH_SIZE);
	n->at[n->count++].file = file;
}

static void name_apply(struct names *n, const struct entry *e)
{
	int i = name_find(n, e->path);
	int file = i >= 0 ? n->at[i].file : -1;

	if (e->kind == STEP_CREATE)
		name_add(n, e->path, e->file);
	if (e->kind == STEP_UNLINK || e->kind == STEP_RENAME)
		name_remove(n, e->path);
	if (e->kind == STEP_RENAME && i >= 0)
		name_add(n, e->to, file);
}

static bool is_of_names(const struct entry *e)
{
	return e->kind == STEP_CREATE || e->kind == STEP_RENAME || e->kind == STEP_UNLINK ||
	       e->kind == STEP_MKDIR;
}

/* ---- being told */

static void relative(const struct disk *d, const char *path, char out[PATH_SIZE])
{
	size_t n = strlen(d->directory);

	memset(out, 0, PATH_SIZE);
	if (strncmp(path, d->directory, n) == 0 && path[n] == '/')
		snprintf(out, PATH_SIZE, "%s", path + n + 1);
}

static int file_of(struct disk *d, ino_t inode)
{
	for (int i = 0; i < d->file_count; i++)
		if (d->files[i].inode == inode)
			return i;
	if (d->file_count >= FILES_MAX)
		abort();
	d->files[d->file_count].inode = inode;
	return d->file_count++;
}

static bool known(const struct disk *d, ino_t inode)
{
	for (int i = 0; i < d->file_count; i++)
		if (d->files[i].inode == inode)
			return true;
	return false;
}

static ino_t inode_of(const struct step *s, nlink_t *links)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)s->pid, s->fd);
	if (s->fd < 0 || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	*links = st.st_nlink;
	return st.st_ino;
}

static struct entry *append(struct disk *d, const struct step *s)
{
	struct entry *e;

	if (d->count == d->cap) {
		d->cap = d->cap ? 2 * d->cap : 256;
		d->entries = x_realloc(d->entries, d->cap * sizeof(*d->entries));
	}
	e = &d->entries[d->count++];
	*e = (struct entry){.kind = s->kind, .file = -1, .at = s->at, .data_only = s->data_only};
	relative(d, s->path, e->path);
	relative(d, s->to, e->to);
	return e;
}

static void note_file(struct disk *d, struct entry *e, const struct step *s, ino_t inode)
{
	struct file *f;

	e->file = file_of(d, inode);
	f = &d->files[e->file];
	if (s->kind == STEP_WRITE) {
		e->n = s->data.n;
		e->data = x_alloc(e->n + 1);
		memcpy(e->data, s->data.p, e->n);
		if (f->size < e->at + e->n)
			f->size = e->at + e->n;
	}
	if (s->kind == STEP_TRUNCATE)
		f->size = e->at;
	e->size = f->size;
}

/* An inode whose last name goes may be given out again. */
static void retire(struct disk *d, const char *path)
{
	struct names n = {.count = 0};
	int i;

	for (size_t k = 0; k + 1 < d->count; k++)
		name_apply(&n, &d->entries[k]);
	i = name_find(&n, path);
	if (i >= 0)
		d->files[n.at[i].file].inode = 0;
}

void disk_add(struct disk *d, const struct step *s)
{
	nlink_t links = 0;
	ino_t inode = inode_of(s, &links);
	bool of_file = s->kind == STEP_CREATE || s->kind == STEP_WRITE || s->kind == STEP_TRUNCATE ||
		       s->kind == STEP_SYNC;
	struct entry *e;

	if (strstr(s->path, "queue_id_sequence") || (of_file && inode == 0 && s->kind != STEP_SYNC) ||
		(s->kind == STEP_CREATE && known(d, inode)))
		return;
	e = append(d, s);
	if (of_file && inode != 0)
		note_file(d, e, s, inode);
	if (s->kind == STEP_UNLINK)
		retire(d, e->path);
}

/* ---- leaving */

struct leaving {
	const struct disk *d;
	size_t steps;
	enum disk_choice choice;
	uint64_t random;
	const char *directory;
};

static size_t choose(struct leaving *l, size_t least, size_t most)
{
	if (l->choice == DISK_ALL || least >= most)
		return most;
	if (l->choice == DISK_LEAST)
		return least;
	l->random = l->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	if (l->random >> 62 == 0) /* the ends are where the faults are */
		return least;
	if (l->random >> 62 == 1)
		return most;
	return least + (size_t)((l->random >> 33) % (most - least + 1));
}

/* The number of first steps whose names are on disk for certain. */
static size_t forced_names(const struct leaving *l)
{
	size_t forced = 0;
	bool fresh[FILES_MAX] = {false};
	uint64_t size[FILES_MAX] = {0};

	for (size_t i = 0; i < l->steps; i++) {
		const struct entry *e = &l->d->entries[i];

		if (e->file >= 0 && (e->kind == STEP_CREATE || e->size != size[e->file]))
			fresh[e->file] = true;
		if (e->file >= 0)
			size[e->file] = e->size;
		if (e->kind == STEP_SYNC &&
			(e->file < 0 || !e->data_only || fresh[e->file])) { /* < 0: a directory */
			forced = i;
			memset(fresh, 0, sizeof(fresh));
		}
	}
	return forced;
}

static size_t last_sync(const struct leaving *l, int file)
{
	size_t last = 0;

	for (size_t i = 0; i < l->steps; i++)
		if (l->d->entries[i].kind == STEP_SYNC && l->d->entries[i].file == file)
			last = i;
	return last;
}

static uint64_t size_after(const struct leaving *l, int file, size_t steps)
{
	uint64_t size = 0;

	for (size_t i = 0; i < steps; i++)
		if (l->d->entries[i].file == file)
			size = l->d->entries[i].size;
	return size;
}

/* The part of a write that falls into the page. */
static void apply_write(const struct entry *e, uint64_t page, char out[PAGE])
{
	uint64_t from = e->at > page ? e->at : page;
	uint64_t to = e->at + e->n < page + PAGE ? e->at + e->n : page + PAGE;

	if (from < to)
		memcpy(out + (from - page), e->data + (from - e->at), (size_t)(to - from));
}

static void page_after(const struct leaving *l, int file, size_t steps, uint64_t page, char out[PAGE])
{
	memset(out, 0, PAGE);
	for (size_t i = 0; i < steps; i++)
		if (l->d->entries[i].file == file && l->d->entries[i].kind == STEP_WRITE)
			apply_write(&l->d->entries[i], page, out);
}

static bool leave_file(struct leaving *l, const char *path, int file)
{
	char *full = x_asprintf("%s/%s", l->directory, path);
	int fd = open(full, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
	size_t synced = last_sync(l, file);
	uint64_t size = size_after(l, file, choose(l, synced, l->steps));
	char page[PAGE];
	bool ok = fd >= 0;

	for (uint64_t at = 0; ok && at < size; at += PAGE) {
		page_after(l, file, choose(l, synced, l->steps), at, page);
		ok = sys_pwrite_all(fd, page, PAGE, (off_t)at);
	}
	ok = ok && ftruncate(fd, (off_t)size) == 0;
	sys_close(&fd);
	x_free(&full);
	return ok;
}

static bool leave_directories(const struct leaving *l, size_t steps)
{
	for (size_t i = 0; i < steps; i++) {
		char *full = x_asprintf("%s/%s", l->directory, l->d->entries[i].path);

		if (l->d->entries[i].kind == STEP_MKDIR)
			mkdir(full, 0700);
		x_free(&full);
	}
	return true;
}

bool disk_leave(
	const struct disk *d, size_t steps, enum disk_choice choice, unsigned seed, const char *directory)
{
	struct leaving l = {d, steps, choice, seed * UINT64_C(0x9E3779B97F4A7C15) + 1, directory};
	struct names n = {.count = 0};
	size_t names = choose(&l, forced_names(&l), steps);
	bool ok = leave_directories(&l, names);

	for (size_t i = 0; i < names; i++)
		if (is_of_names(&d->entries[i]))
			name_apply(&n, &d->entries[i]);
	for (size_t i = 0; ok && i < n.count; i++)
		ok = leave_file(&l, n.at[i].path, n.at[i].file);
	return ok;
}
