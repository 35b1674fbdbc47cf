/*
 * The sending side of ipc/submission.h: postdrop(1) at the other end of a pipe. The process ignores SIGPIPE.
 */
#ifndef IPC_SUBMISSION_PIPE_H
#define IPC_SUBMISSION_PIPE_H

#include "ipc/submission.h"

struct submission_pipe;

/* Starts the postdrop of command_directory; config_dir is its -c, NULL: none is given. NULL: err says why. */
struct submission_pipe *submission_pipe_open(
	const char *command_directory, const char *config_dir, struct err *err);
/* false: postdrop reads no more; what it has to say comes with the end. */
bool submission_pipe_content(struct submission_pipe *p, struct str piece);
/* Sends the envelope and waits for postdrop's end. true: there is an answer, and only its queue id means that
 * the message is safe; its texts live in the pool. */
bool submission_pipe_finish(struct submission_pipe **p, const struct submission *envelope, struct pool *pool,
	struct submission_answer *answer, struct err *err);
/* The end of input before the envelope makes postdrop forget the message. NULL allowed. */
void submission_pipe_abort(struct submission_pipe **p);

#endif
