/* master.cf: the services (master(5)). Order is the file's. */
#ifndef CONFIG_MASTER_CF_H
#define CONFIG_MASTER_CF_H

#include "config/config.h"

enum service_type { SERVICE_INET, SERVICE_UNIX, SERVICE_FIFO, SERVICE_PASS, SERVICE_UNIX_DGRAM };

struct master_service {
	const char *name; /* first column */
	enum service_type type;
	bool is_private, unprivileged,
		chroot;	     /* columns with '-' replaced by their defaults (y, y, compatibility level's) */
	int wakeup;	     /* seconds; 0: never */
	bool wakeup_if_used; /* '?' after the time */
	int maxproc;	     /* -1: default_process_limit ('-'); 0: no limit */
	const char *command; /* program's base name */
	char **argv; /* NULL-terminated; argv[0] is the command; -o pairs are in overrides, not here */
	struct config_pair *overrides;
	size_t override_count;
	int line; /* where it begins */
};

struct master_cf {
	struct master_service *services;
	size_t count;
};

/* From the text that cfg was loaded with, or the file. err names file and line. cfg gives the defaults for
 * '-'. */
struct master_cf *master_cf_load(const struct config *cfg, struct err *err);
/* The same from text; path is for messages. */
struct master_cf *master_cf_parse(
	const struct config *cfg, struct str content, const char *path, struct err *err);
void master_cf_free(struct master_cf **m);
const struct master_service *master_cf_find(
	const struct master_cf *m, const char *name, enum service_type type);
const char *service_type_name(enum service_type type);

#endif
