#include "commands/postern.h"

#include <getopt.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/master_cf.h"

static const struct {
	const char *name;
	int (*run)(struct instance *i);
	bool privileged; /* for root, or the user that the whole system belongs to */
	bool warns;	 /* says what is odd in main.cf */
} verbs[] = {
	{"start", postern_start, true, false},
	{"start-fg", postern_start_foreground, true, false},
	{"stop", postern_stop, true, false},
	{"abort", postern_abort, true, false},
	{"reload", postern_reload, true, false},
	{"status", postern_status, false, false},
	{"check", postern_check, true, true},
	{"flush", postern_flush, false, false},
	{"logrotate", postern_logrotate, true, false},
	{"set-permissions", postern_set_permissions, true, false},
	{"resolve", postern_resolve, false, false},
};

static void __attribute__((noreturn)) usage(const char *unknown)
{
	if (unknown)
		fprintf(stderr, "postern: fatal: unknown command: '%s'\n", unknown);
	fprintf(stderr, "usage: postern [-v] [-c config_directory] "
			"start | start-fg | stop | abort | reload | status | check | flush | logrotate | "
			"set-permissions\n"
			"       postern [-c config_directory] resolve address [--sender address] [--class "
			"class] [--json]\n");
	exit(1);
}

static void warn(void *arg, const char *text)
{
	const bool *wanted = arg;

	if (*wanted)
		fprintf(stderr, "postern: warning: %s\n", text);
}

static bool load(struct instance *i, const char *directory, bool warns, struct err *err)
{
	struct config_source source = {.directory = directory, .program = "postern"};

	i->config = config_load(&source, warn, &warns, err);
	if (!i->config)
		return false;
	i->directory = realpath(config_directory(i->config), NULL);
	return i->directory || err_errno(err, "%s", config_directory(i->config));
}

static bool permitted(const struct instance *i)
{
	return geteuid() == 0 || geteuid() == i->owner;
}

static int run(struct instance *i, const char *directory, const char *name)
{
	size_t n = 0;
	int status;
	struct err err = {""};

	while (n < sizeof verbs / sizeof verbs[0] && strcmp(verbs[n].name, name) != 0)
		n++;
	if (n == sizeof verbs / sizeof verbs[0])
		usage(name);
	if (i->argc && verbs[n].run != postern_resolve)
		usage(NULL);
	if (!load(i, directory, verbs[n].warns, &err) || !postern_identities(i, &err)) {
		fprintf(stderr, "postern: fatal: %s\n", err.text);
		return 1;
	}
	if (verbs[n].privileged && !permitted(i)) {
		fprintf(stderr,
			"postern: fatal: this command is for root, or for the user that mail_owner names "
			"(%s)\n",
			i->config->mail_owner);
		return 1;
	}
	i->logged = command_log_open(i->config, "postern", i->verbose);
	status = verbs[n].run(i);
	if (status < 0)
		usage(NULL);
	return status;
}

int main(int argc, char **argv)
{
	struct instance instance = {0};
	const char *directory = NULL;
	int c, status;

	while ((c = getopt(argc, argv, "+c:vD")) != -1) {
		if (c == 'c')
			directory = optarg;
		else if (c == 'v')
			instance.verbose++;
		else if (c != 'D')
			usage(NULL);
	}
	if (optind >= argc)
		usage(NULL);
	instance.argc = argc - optind - 1;
	instance.argv = argv + optind + 1;
	umask(022);
	status = run(&instance, directory, argv[optind]);
	config_free(&instance.config);
	free((void *)(uintptr_t)instance.directory);
	return status;
}
