/*
 * Queue ids: a number that never repeats, printed short (upper-case hexadecimal, eleven digits) or long
 * (enable_long_queue_ids: letters and digits without vowels, time first, with a 'z' after it). The number is
 * microseconds since 1970 in steps of QUEUE_ID_STEP, made unique by the spool's counter; with this step
 * eleven digits last until 2055, and ids run ahead of the clock only above 15,000 messages a second.
 */
#ifndef MAIL_QUEUE_ID_H
#define MAIL_QUEUE_ID_H

#include "base/str.h"

#define QUEUE_ID_STEP 64u /* microseconds */
#define QUEUE_ID_MAX 20	  /* with NUL */

struct queue_id {
	char text[QUEUE_ID_MAX];
};

struct queue_id queue_id_make(uint64_t number, bool long_form);
bool queue_id_valid(struct str text);		     /* either form; nothing that could leave a directory */
uint64_t queue_id_number(const struct queue_id *id); /* its time in microseconds */

#endif
