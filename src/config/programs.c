#include "config/programs.h"

#include <string.h>

#include "base/mem.h"

static const struct program programs[] = {
	{"smtpd", PROGRAM_THREADED, false, NULL},
	{"smtp", PROGRAM_THREADED, false, NULL},
	{"lmtp", PROGRAM_THREADED, false, NULL},
	{"error", PROGRAM_THREADED, false, NULL},
	{"discard", PROGRAM_THREADED, false, NULL},
	{"qmgr", PROGRAM_RESIDENT, false, NULL},
	{"oqmgr", PROGRAM_RESIDENT, false, "qmgr"},
	{"pickup", PROGRAM_RESIDENT, true, NULL},
	{"anvil", PROGRAM_LIBRARY, false, NULL},
	{"bounce", PROGRAM_LIBRARY, false, NULL},
	{"cleanup", PROGRAM_LIBRARY, false, NULL},
	{"flush", PROGRAM_LIBRARY, false, NULL},
	{"postlogd", PROGRAM_LIBRARY, false, NULL},
	{"proxymap", PROGRAM_LIBRARY, false, NULL},
	{"scache", PROGRAM_LIBRARY, false, NULL},
	{"showq", PROGRAM_LIBRARY, false, NULL},
	{"tlsmgr", PROGRAM_LIBRARY, false, NULL},
	{"trivial-rewrite", PROGRAM_LIBRARY, false, NULL},
	{"verify", PROGRAM_LIBRARY, false, NULL},
};

const struct program *program_find(const char *command)
{
	static const struct program other = {.name = "", .kind = PROGRAM_SINGLE};

	for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
		if (strcmp(programs[i].name, command) == 0)
			return &programs[i];
	}
	return &other;
}

char *program_path(const struct program *p, const char *command, const char *directory)
{
	return x_asprintf("%s/%s", directory, p->file ? p->file : command);
}
