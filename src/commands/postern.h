/* postern(1): starts, stops and looks after one instance of the mail system. */
#ifndef COMMANDS_POSTERN_H
#define COMMANDS_POSTERN_H

#include "commands/command_log.h"
#include <sys/types.h>

struct instance {
	const struct config *config;
	const char *directory; /* of main.cf and master.cf */
	int verbose;
	int argc; /* words after the command's name */
	char **argv;
	bool logged; /* the log is open: not only standard error */
	uid_t owner; /* mail_owner */
	gid_t owner_group, drop_group;
};

/* postern_check.c */
bool postern_identities(struct instance *i, struct err *err); /* fills owner and the groups */
bool postern_make_directories(const struct instance *i, struct err *err);
/* Whether master.cf can be used, and by each service its part of the configuration; report is called with
 * each fault. */
typedef void (*postern_report_fn)(void *arg, const char *text);
bool postern_services_valid(const struct instance *i, postern_report_fn report, void *arg);
int postern_set_permissions(struct instance *i);
int postern_check(struct instance *i); /* warns of all that looks wrong; exit status */

/* postern_control.c */
pid_t postern_pid(const struct instance *i); /* of the running master; 0: none */
int postern_start(struct instance *i);
int postern_start_foreground(struct instance *i);
int postern_stop(struct instance *i);
int postern_abort(struct instance *i);
int postern_reload(struct instance *i);
int postern_status(struct instance *i);
int postern_flush(struct instance *i);

/* postern_resolve.c: argv of the words after the command's name; -1: wrong usage */
int postern_resolve(struct instance *i);

/* postern_logrotate.c */
int postern_logrotate(struct instance *i);

#endif
