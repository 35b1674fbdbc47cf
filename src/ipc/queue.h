/*
 * To the queue manager, over public/qmgr: new mail, flush, reload of a message, listing. Anybody who may reach the socket may ask; commands that change the queue
 * files (postsuper) are root's and act on the files, then tell the queue manager.
 */
#ifndef IPC_QUEUE_H
#define IPC_QUEUE_H

#include "ipc/frame.h"
#include "spool/spool.h"

enum {
	FRAME_NEW_MAIL = 16,            /* qid, queue */
	FRAME_FLUSH = 17,               /* all deferred mail now */
	FRAME_FLUSH_ID = 18,            /* one message now */
	FRAME_FLUSH_SITE = 19,          /* mail for one domain now */
	FRAME_FORGET = 20,              /* qid was removed or put on hold by postsuper */
	FRAME_SCAN = 21,                /* look at incoming again (postsuper -r, -H) */
	FRAME_LIST = 22,                /* answer: FRAME_LISTED ..., FRAME_DONE */
	FRAME_LISTED = 23,
	FRAME_DONE = 24                 /* end of answer; text: error or empty */
};

/* The notifier of a process: one connection, made again when lost. Locked inside. Loss is no harm: the queue manager also scans. */
struct queue_notifier;
struct queue_notifier *queue_notifier_new(const char *socket_path);     /* path relative to the queue directory is fine after chroot */
void queue_notifier_free(struct queue_notifier **n);
void queue_notify(struct queue_notifier *n, enum spool_queue q, const struct queue_id *id);

#endif
