/* The programs that master.cf may name, and how each is run. */
#ifndef CONFIG_PROGRAMS_H
#define CONFIG_PROGRAMS_H

#include <stdbool.h>

enum program_kind {
	PROGRAM_THREADED, /* many tasks in a process: a few identical processes share maxproc */
	PROGRAM_SINGLE,	  /* one task at a time: maxproc processes */
	PROGRAM_RESIDENT, /* one process, from start to stop */
	PROGRAM_LIBRARY	  /* a part of the others here: the entry holds settings, nothing is started */
};

struct program {
	const char *name;
	enum program_kind kind;
	bool wants_wakeup; /* is told when the wakeup time of master.cf passed */
	const char *file;  /* the file's name where it is another; NULL: the same */
};

/* Never NULL: what is not known is run one task at a time. */
const struct program *program_find(const char *command);
/* The file of the command in daemon_directory; the caller frees it. */
char *program_path(const struct program *p, const char *command, const char *directory);

#endif
