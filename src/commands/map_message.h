/* A message that postmap(1) reads with -b and -h: its headers and lines are the keys. */
#ifndef COMMANDS_MAP_MESSAGE_H
#define COMMANDS_MAP_MESSAGE_H

#include "commands/map_command.h"

struct map_message;
/* key() is called with each logical header (-h; its lines joined by LF) and with each line of the body (-b);
 * with -m the headers of parts and of attached messages are headers too, as header_checks(5) has them. */
struct map_message *map_message_new(
	const struct map_command *command, void (*key)(void *arg, struct str key), void *arg);
void map_message_line(struct map_message *m, struct str line); /* without its LF */
void map_message_end(struct map_message **m);

#endif
