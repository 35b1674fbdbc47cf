/* The command line of a service: written by master, read by service_main. Both sides are in service_args.c.
 */
#ifndef SERVICE_SERVICE_ARGS_H
#define SERVICE_SERVICE_ARGS_H

#include "config/master_cf.h"

struct service_args {
	const char *program;	       /* base name of argv[0] */
	const char *config_dir;	       /* -c */
	const char *name;	       /* -n: master.cf name */
	enum service_type type;	       /* -t */
	bool unprivileged;	       /* -u: give up root */
	bool chroot;		       /* -j: queue_directory becomes the root directory */
	bool log_fd;		       /* -f: SERVICE_FD_LOG is the log */
	int slots;		       /* -m: this process's share of maxproc */
	int listeners;		       /* -s: sockets from SERVICE_FD_LISTEN on */
	int service, worker;	       /* -i, -w: place in the shared mapping; -1: not counted */
	int verbose;		       /* -v */
	struct config_pair *overrides; /* -o name=value */
	size_t override_count;
	char *const *rest; /* what follows the options, NULL-terminated: the program's own */
};

/* Called for letters that are not the service's own. */
typedef void (*service_option_fn)(void *arg, int letter, const char *value);

/* Reads argv (which must live on). extra: getopt letters of the program, or NULL. service_args_free releases.
 */
bool service_args_parse(int argc, char **argv, const char *extra, service_option_fn option, void *arg,
	struct service_args *out, struct err *err);
void service_args_free(struct service_args *args);

/* The argv for exec: NULL-terminated, freed with service_argv_free. `own` are the arguments of master.cf
 * after the command, NULL-terminated. */
char **service_argv_make(const struct service_args *args, char *const *own);
void service_argv_free(char ***argv);

#endif
