/*
 * A model of what a disk holds after power is lost. It is told every step of a run and can then make the
 * directory as it may be found after any of them:
 *  - what a file held when it was last forced out is there; of later writes each page independently is there,
 * or as it was at some moment since;
 *  - the size is that of some moment since; what is missing reads as zeros;
 *  - names (creation, rename, unlink) come in order, as a journal keeps them: all up to the last forced one,
 * and any number of those after it. fsync forces them; fdatasync does when the file was made or grew.
 */
#ifndef TESTS_CRASH_DISK_H
#define TESTS_CRASH_DISK_H

#include "trace.h"

struct disk;

struct disk *disk_new(const char *directory); /* steps tell absolute paths below it */
void disk_free(struct disk **d);
void disk_add(struct disk *d, const struct step *s); /* a step that was made */
size_t disk_steps(const struct disk *d);

enum disk_choice { DISK_ALL, DISK_LEAST, DISK_RANDOM };
/* Fills a directory, which has the spool's directories already, with what is left after `steps` steps. seed:
 * of the random choice. */
bool disk_leave(
	const struct disk *d, size_t steps, enum disk_choice choice, unsigned seed, const char *directory);

#endif
