/* What must hold after a crash and recovery. */
#ifndef TESTS_CRASH_CHECK_H
#define TESTS_CRASH_CHECK_H

#include "scenario.h"

#define CHECK_MESSAGES 64

struct promised {
	struct queue_id id;
	size_t size;
	bool acknowledged, removing;
	bool done[2];
};

struct promises {
	struct promised messages[CHECK_MESSAGES];
	size_t count;
};

void promises_hear(struct promises *p, const char *line);
/* Recovers the spool in the directory and looks at everything in it. false: says on standard error what is
 * wrong. */
bool check_directory(const char *directory, const struct promises *p);

#endif
