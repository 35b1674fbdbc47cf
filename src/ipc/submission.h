/*
 * From sendmail(1) to postdrop(1), over a pipe: content pieces, then the envelope, which ends the message;
 * whatever ends earlier is no message. The answer tells whether the mail system has it.
 */
#ifndef IPC_SUBMISSION_H
#define IPC_SUBMISSION_H

#include "ipc/frame.h"
#include "spool/spool.h"

enum { FRAME_SUBMIT_CONTENT = 64, FRAME_SUBMIT_ENVELOPE = 65, FRAME_SUBMIT_ANSWER = 66 };

#define SUBMISSION_PIECE 65536

struct submission {
	const char *sender;    /* internal form */
	const char *full_name; /* NULL: unknown */
	const char *envid;
	const char *body; /* "7BIT", "8BITMIME" or NULL */
	const char *verp; /* delimiters, or NULL */
	enum dsn_ret ret;
	int notify;
	int flags;		 /* ENVELOPE_REPORT, with it ENVELOPE_PROBE */
	bool remote;		 /* headers are those of mail from elsewhere */
	const char **recipients; /* internal forms */
	size_t recipient_count;
};

struct submission_answer {
	const char *error; /* NULL: the message is in the queue */
	const char *queue_id;
};

void submission_content_encode(struct buf *out, struct str piece);
bool submission_content_decode(struct cursor fields, struct str *piece);
void submission_encode(struct buf *out, const struct submission *s);
/* Refuses texts with control bytes, and addresses longer than ADDRESS_MAX. */
bool submission_decode(struct cursor fields, struct pool *pool, struct submission *s, struct err *err);
void submission_answer_encode(struct buf *out, const struct submission_answer *a);
bool submission_answer_decode(struct cursor fields, struct pool *pool, struct submission_answer *a);

#endif
