/* Starting a program with exactly the descriptors it is meant to have. */
#ifndef MASTER_SPAWN_H
#define MASTER_SPAWN_H

#include "base/err.h"
#include <stdbool.h>
#include <sys/types.h>

struct spawn {
	const char *file;
	char **argv, **envp;
	const int *fds; /* they become 3, 4, 5, ... in this order; -1: stays closed */
	int count;
	bool silent; /* standard error becomes what standard input is: /dev/null */
	bool quiet;  /* standard input, output and error are /dev/null */
};

pid_t spawn_program(const struct spawn *p, struct err *err); /* -1 with err */
/* The environment that import_environment describes (names, or name=value), with MAIL_CONFIG and a PATH of
 * the system; freed with spawn_free_environment. */
char **spawn_environment(const char *import, const char *config_dir);
void spawn_free_environment(char ***envp);

#endif
