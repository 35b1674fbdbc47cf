/* What postsuper(1) does to messages. */
#ifndef COMMANDS_POSTSUPER_ACT_H
#define COMMANDS_POSTSUPER_ACT_H

#include "ipc/queue.h"

enum postsuper_act {
	ACT_DELETE,
	ACT_EXPIRE,
	ACT_EXPIRE_RELEASE,
	ACT_HOLD,
	ACT_RELEASE,
	ACT_REQUEUE,
	ACT_COUNT
};
extern const char postsuper_letters[ACT_COUNT + 1]; /* the option of each act */

#define POSTSUPER_NO_QUEUE (1u << QUEUE_COUNT) /* a directory without messages was named */

enum postsuper_counter { COUNT_REQUEUED, COUNT_DELETED, COUNT_EXPIRED, COUNT_HELD, COUNT_RELEASED, COUNTERS };

struct postsuper {
	struct spool *spool;
	const char *queue_service; /* the queue manager's */
	size_t counts[COUNTERS];
	bool asked[COUNTERS];	       /* is reported, even when nothing was done */
	struct queue_request *notices; /* for the queue manager */
	size_t notice_count;
	struct queue_id *active; /* what the queue manager has in hand; asked for when "active" is named */
	size_t active_count;
	bool active_known;
	bool quiet; /* every message was asked for: the log tells each, the terminal only how many */
};

/* What the act counts is reported, even when it meets no message. */
void postsuper_ask(struct postsuper *s, enum postsuper_act act);
/* queues: bits of enum spool_queue that were named; 0: the default of the act. Failures are said and do not
 * stop the others. */
void postsuper_one(struct postsuper *s, enum postsuper_act act, const char *id, unsigned queues);
void postsuper_all(struct postsuper *s, enum postsuper_act act, unsigned queues);
void postsuper_tell(struct postsuper *s); /* the queue manager, if it runs */
void postsuper_report(const struct postsuper *s);
void postsuper_end(struct postsuper *s);

#endif
