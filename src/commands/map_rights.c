/*
 * Root builds tables of other users with their rights only: a user who may write in the directory of a table
 * could lead root to any file otherwise.
 */
#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "commands/command_log.h"
#include "commands/map_command.h"

static void become(uid_t uid, gid_t gid)
{
	if (seteuid(0) < 0 || setgroups(1, &gid) < 0 || setegid(gid) < 0 || seteuid(uid) < 0)
		command_die(EXIT_FAILURE, "take on the rights of user %ld: %s", (long)uid, strerror(errno));
	if (geteuid() != uid || getegid() != gid)
		command_die(EXIT_FAILURE, "the rights of user %ld were not taken on", (long)uid);
}

static void check_directory(const char *name)
{
	char *copy = x_strdup(name);
	const char *directory = dirname(copy);
	struct stat st;

	if (stat(directory, &st) == 0 && st.st_uid != 0)
		command_die(EXIT_FAILURE,
			"directory %s belongs to user %ld, its table to root: not built; see the -o option",
			directory, (long)st.st_uid);
	x_free(&copy);
}

void map_take_rights(const struct map_command *m, const char *spec)
{
	const char *name = strchr(spec, ':') + 1;
	struct stat st;

	if (m->keep_root || geteuid() != 0)
		return;
	if (stat(name, &st) == 0 && st.st_uid != 0)
		become(st.st_uid, st.st_gid);
	else
		check_directory(name);
}

void map_restore_rights(void)
{
	if (getuid() == 0 && geteuid() != 0)
		become(0, getgid());
}
