/* Follows a child's system calls and tells of those that change what is on disk. */
#ifndef TESTS_CRASH_TRACE_H
#define TESTS_CRASH_TRACE_H

#include "base/str.h"
#include <sys/types.h>

enum step_kind {
	STEP_CREATE,
	STEP_WRITE,
	STEP_TRUNCATE,
	STEP_SYNC,
	STEP_RENAME,
	STEP_UNLINK,
	STEP_MKDIR,
	STEP_EVENT
};

struct step {
	enum step_kind kind;
	pid_t pid;
	int fd;		 /* in the child; -1: none */
	char path[300];	 /* of the file or name, absolute */
	char to[300];	 /* STEP_RENAME */
	struct str data; /* STEP_WRITE, STEP_EVENT; lives during the call */
	uint64_t at;	 /* STEP_WRITE: where; STEP_TRUNCATE: size */
	bool data_only;	 /* STEP_SYNC: fdatasync */
};

/* before(): the call is about to be made; false: the child is killed instead. after(): it was made and
 * succeeded; false: the child is killed. */
struct trace_ops {
	bool (*before)(void *arg, const struct step *s);
	bool (*after)(void *arg, const struct step *s);
};

/* Runs child(directory) under the trace to its end. 0: it ended well; 1: killed by before or after; -1: it
 * failed. */
int trace_run(
	void (*child)(const char *directory), const char *directory, const struct trace_ops *ops, void *arg);

#endif
