/*
 * The settings of a master.cf service whose work a library does (cleanup, rewrite): main.cf with the -o
 * options of its entry.
 */
#ifndef CONFIG_SERVICE_CONFIG_H
#define CONFIG_SERVICE_CONFIG_H

#include "config/config.h"

/*
 * The configuration of the unix-domain service `name`, for the caller to free. always: also when its entry
 * has no options, or there is no entry; cfg may have options that are not the service's. *out NULL: cfg does
 * as well; there is no master.cf, or no entry with options. false: the service's settings cannot be used.
 */
bool service_config_load(const struct config *cfg, const char *name, const char *program, bool always,
	const struct config **out, struct err *err);

#endif
