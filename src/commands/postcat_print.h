/* The rendering of a queue file: one line per record, markers between its parts. */
#ifndef COMMANDS_POSTCAT_PRINT_H
#define COMMANDS_POSTCAT_PRINT_H

#include "spool/spool.h"
#include <stdio.h>

struct postcat {
	bool envelope, header, body;
	bool offsets; /* before each line where it is in the file; lines of the envelope: where the envelope
			 begins */
	bool types;   /* before each line the number of its kind, those of Postfix's records */
	bool verbose; /* what only this system knows too: schedule and last outcomes */
};

/* false: the content could not be read to its end, or is damaged. */
bool postcat_print(const struct postcat *what, FILE *out, const char *name, const struct envelope *e,
	struct spool_reader *content, struct err *err);

#endif
