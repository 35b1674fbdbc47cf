/* The queue, as the commands of an operator open it. */
#ifndef COMMANDS_COMMAND_SPOOL_H
#define COMMANDS_COMMAND_SPOOL_H

#include "config/config.h"
#include "spool/spool.h"

/* NULL with err. Files must belong to mail_owner. */
struct spool *command_spool_open(const struct config *cfg, struct err *err);
/* Copies a queue id from the command line; false: its form is wrong, whatever its length. */
bool command_queue_id(const char *text, struct queue_id *id);

#endif
