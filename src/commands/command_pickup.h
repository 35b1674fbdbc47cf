/* Mail in the maildrop queue: pickup takes it over when it is told to. */
#ifndef COMMANDS_COMMAND_PICKUP_H
#define COMMANDS_COMMAND_PICKUP_H

#include "config/config.h"

/* A hint, from the queue directory: pickup looks by itself from time to time. */
void command_wake_pickup(const struct config *cfg);

#endif
