/* Where the commands of an operator log: maillog_file when it can be written, else the system log; errors are
 * told on standard error too. */
#ifndef COMMANDS_COMMAND_LOG_H
#define COMMANDS_COMMAND_LOG_H

#include "base/log.h"
#include "config/config.h"

/* Opens the log under this program name. false: lines go to standard error, because neither maillog_file nor
 * the system log can be opened by us. */
bool command_log_open(const struct config *cfg, const char *program, int verbose);
/* What comes goes to the file that has the name of maillog_file now. */
void command_log_reopen(const struct config *cfg);
/* One line for the operator: to standard error, and to the log. */
void command_say(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same as a fatal error, and the end of the process. */
void command_die(int status, const char *fmt, ...) __attribute__((noreturn, format(printf, 2, 3)));

#endif
