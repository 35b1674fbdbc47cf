#include "commands/command_config.h"

#include <unistd.h>

static bool has_more_rights(void)
{
	return getuid() != 0 && (getuid() != geteuid() || getgid() != getegid());
}

static bool allowed(const char *program, const char *directory, struct err *err)
{
	struct config_source source = {.program = program};
	const struct config *standard;
	bool ok;

	unsetenv("MAIL_CONFIG");
	standard = config_load(&source, NULL, NULL, err);
	if (standard == NULL)
		return false;
	ok = strcmp(directory, config_directory(standard)) == 0 ||
	     str_lists(standard->alternate_config_directories, directory);
	config_free(&standard);
	return ok ||
	       err_set(err, "%s: not a configuration directory that ordinary users may name", directory);
}

const struct config *command_config_load(const char *program, const char *directory, struct err *err)
{
	struct config_source source = {.program = program};

	if (directory == NULL)
		directory = getenv("MAIL_CONFIG");
	if (directory != NULL && has_more_rights() && !allowed(program, directory, err))
		return NULL;
	source.directory = directory;
	return config_load(&source, NULL, NULL, err);
}
