/*
 * To the queue manager, over public/qmgr: new mail, flush, reload of a message, listing. Anybody who may
 * reach the socket may ask; commands that change the queue files (postsuper) are root's and act on the files,
 * then tell the queue manager.
 *
 * FRAME_NEW_MAIL is not answered. Every other request is answered by FRAME_DONE, FRAME_LIST by any number of
 * FRAME_LISTED before it.
 */
#ifndef IPC_QUEUE_H
#define IPC_QUEUE_H

#include "ipc/frame.h"
#include "spool/spool.h"

enum {
	FRAME_NEW_MAIL = 16,   /* qid, queue */
	FRAME_FLUSH = 17,      /* all deferred mail now */
	FRAME_FLUSH_ID = 18,   /* one message now */
	FRAME_FLUSH_SITE = 19, /* mail for one domain now */
	FRAME_FORGET = 20,     /* qid was removed or put on hold by postsuper */
	FRAME_SCAN = 21,       /* look at the queue again (postsuper -r, -H) */
	FRAME_LIST = 22,       /* answer: FRAME_LISTED ..., FRAME_DONE */
	FRAME_LISTED = 23,
	FRAME_DONE = 24 /* end of answer; text: error or empty */
};

/* Every request, and FRAME_DONE. What a type does not use is absent. */
struct queue_request {
	uint16_t type;
	struct queue_id id; /* "": absent */
	enum spool_queue queue;
	const char *text; /* FRAME_FLUSH_SITE: the domain; FRAME_DONE: the error; NULL: absent */
};
void queue_request_encode(struct buf *out, const struct queue_request *r);
bool queue_request_decode(uint16_t type, struct cursor fields, struct pool *pool, struct queue_request *r);

/* One message of the listing. */
struct queue_listed_recipient {
	const char *address;
	const char *reason; /* why it is still there; NULL: not tried yet */
	bool failed;	    /* permanently, and the report to the sender is not made yet */
};
struct queue_listed {
	struct queue_id id;
	enum spool_queue queue; /* QUEUE_ACTIVE: the queue manager has it in hand */
	int64_t arrival_us;
	uint64_t size; /* of the content */
	const char *sender;
	bool expired; /* returned to the sender at the next attempt (postsuper -e) */
	struct queue_listed_recipient *recipients; /* those not done */
	size_t recipient_count;
};
/* From the file: everything but id and queue; the recipients that are not done. Points into the envelope and
 * the pool. */
void queue_listed_fill(struct queue_listed *l, const struct envelope *e, struct pool *pool);
void queue_listed_encode(struct buf *out, const struct queue_listed *l);
bool queue_listed_decode(struct cursor fields, struct pool *pool, struct queue_listed *l);

/*
 * Asks the queue manager, which is the service that queue_service_name names, and waits for the end of the
 * answer, at most `seconds`; each message listed is given to listed(), which may be NULL (what it points to
 * lives during the call). false: not reached, broken, or the error the queue manager told.
 */
typedef void (*queue_listed_fn)(void *arg, const struct queue_listed *l);
bool queue_ask(const char *service, const struct queue_request *r, int seconds, queue_listed_fn listed,
	void *arg, struct err *err);

/* The notifier of a process: one connection, made again when lost. Locked inside. Loss is no harm: the queue
 * manager also scans. */
struct queue_notifier;
struct queue_notifier *queue_notifier_new(const char *service);
void queue_notifier_free(struct queue_notifier **n);
/* A request whose answer nobody waits for. */
void queue_notifier_send(struct queue_notifier *n, const struct queue_request *r);
void queue_notify(struct queue_notifier *n, enum spool_queue q, const struct queue_id *id);

#endif
