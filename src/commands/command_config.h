/* Which configuration a command of ordinary users may be given. */
#ifndef COMMANDS_COMMAND_CONFIG_H
#define COMMANDS_COMMAND_CONFIG_H

#include "config/config.h"

/*
 * Loads main.cf of the directory (NULL: MAIL_CONFIG, else the default). A command that runs with more rights
 * than its caller (set-group-id) takes another directory than the default only when
 * alternate_config_directories of the default main.cf names it.
 */
const struct config *command_config_load(const char *program, const char *directory, struct err *err);

#endif
