/* Delivery to a command: another program, started as a user, that gets the message on its standard input. */
#ifndef DELIVER_DELIVER_COMMAND_H
#define DELIVER_DELIVER_COMMAND_H

#include "deliver/deliver.h"

#define DELIVER_OUTPUT_MAX 4096 /* bytes of a command's output that are kept */

struct deliver_command {
	const char *program;	 /* what its failure to start is told with: "local: fatal" */
	const char *const *argv; /* ends with NULL; a name without '/' is looked for in PATH of env */
	const char *const *env;	 /* "NAME=value", ends with NULL */
	uid_t uid;		 /* root is refused */
	gid_t gid;
	const char *root;      /* root directory, or NULL */
	const char *directory; /* working directory, or NULL: the present one */
	int time_limit;	       /* seconds */
	long long file_limit;  /* bytes of a file that the command may write; 0: any */
};

enum deliver_command_end {
	COMMAND_EXITED,	     /* code: its status */
	COMMAND_KILLED,	     /* code: the signal */
	COMMAND_TIMEOUT,     /* it and all of its process group were killed */
	COMMAND_NOT_STARTED, /* err says why */
	COMMAND_READ_FAILED  /* the message could not be read (err); the command was killed */
};
struct deliver_command_result {
	enum deliver_command_end end;
	int code;
	struct err err;
	struct buf output; /* both standard output and error; the caller frees it */
};
/* A command that does not read all of its input has done with it as it liked: no failure. */
void deliver_command_run(struct deliver_job *job, struct str head, const struct deliver_form *form,
	const struct deliver_command *command, struct deliver_command_result *result);

/* What the end of a command means for the mail (sysexits.h). name: how the command is called in the text;
 * success: text of a delivery. */
const struct dsn *deliver_command_status(struct pool *pool, const struct deliver_command_result *result,
	const char *name, const char *success);
/* The output as one line: control characters and what is not ASCII become '_'. */
const char *deliver_command_output(struct pool *pool, const struct buf *output);

/* A command line as the words to start: split at blanks where that is all there is to it, else as an argument
 * of the shell ("" for /bin/sh -c); a shell that is given is always used. */
const char *const *deliver_shell_words(struct pool *pool, const char *command, const char *shell);

/* The environment of a command, from export_environment and what is added to it. */
struct deliver_environment {
	struct pool *pool;
	const char **list;
	size_t count, cap;
};
void deliver_environment_begin(struct deliver_environment *e, struct pool *pool, const char *export);
/* Replaces an earlier value; NULL value: nothing. filter: characters that are kept (others become '_'), NULL:
 * all. */
void deliver_environment_set(
	struct deliver_environment *e, const char *name, const char *value, const char *filter);
/* As the filter of the environment does it. */
const char *deliver_filtered(struct pool *pool, const char *value, const char *filter);

/*
 * local_delivery_status_filter and the like: tables that see "status text" and may give another status of the
 * same class and another text. A result that has no such form is warned of, and so is a failed lookup; the
 * outcome stays then.
 */
struct maps;
const struct dsn *deliver_filter_status(
	struct maps *filter, const char *parameter, struct pool *pool, const struct dsn *dsn);

#endif
