/* What the spool goes through in the crash tests, and how the content of each message can be known again. */
#ifndef TESTS_CRASH_SCENARIO_H
#define TESTS_CRASH_SCENARIO_H

#include "spool/spool.h"

/*
 * Runs in a child of its own. Tells what it is about to do and what it was promised, one line a write, on
 * this descriptor: begin ID SIZE    commit is about to be called ack ID           commit returned true done
 * ID INDEX    the recipient was durably recorded as done remove ID        removal is about to be called
 */
#define SCENARIO_EVENTS 9

void scenario_run(const char *directory);
struct spool_options scenario_options(const char *directory);
/* The byte at a place of the content of the message whose queue id has this number. */
char scenario_byte(uint64_t number, size_t at);

#endif
