/* The delivery agent that gives mail to an external command, named with its attributes in master.cf. */
#ifndef PIPE_PIPE_H
#define PIPE_PIPE_H

#include "deliver/deliver_command.h"
#include "service/agent.h"
#include "table/table.h"

/* The letters of flags=. */
enum {
	PIPE_BLANK = 1,	       /* B: an empty line at the end */
	PIPE_DELIVERED = 2,    /* D: Delivered-To:, and loops are seen */
	PIPE_FROM = 4,	       /* F: "From sender date" */
	PIPE_ORIGINAL = 8,     /* O: X-Original-To: */
	PIPE_RETURN_PATH = 16, /* R */
	PIPE_FINAL = 32,       /* X: this is the final delivery */
	PIPE_FOLD_HOST = 64,   /* h */
	PIPE_QUOTE = 128,      /* q: addresses are quoted */
	PIPE_FOLD_USER = 256,  /* u */
	PIPE_QUOTE_DOT = 512,  /* . */
	PIPE_QUOTE_FROM = 1024 /* > */
};

struct pipe_attributes {
	int flags;
	uid_t uid;
	gid_t gid;
	bool has_user;
	const char *root, *directory; /* or NULL */
	const char *eol;
	const char *null_sender;
	uint64_t size_limit; /* bytes; 0: any */
	char *const *argv;   /* with $macros; ends with NULL */
};

/* args: name=value words, the last being argv=command, with the command's own arguments behind it. Strings
 * live in the pool or in args. mail_owner's rights and root's are refused. */
bool pipe_attributes_parse(char *const *args, const char *mail_owner, struct pool *pool,
	struct pipe_attributes *out, struct err *err);

/* The command's arguments for a request: an argument with a macro of recipients becomes one for each
 * recipient. Each result is one argument, whatever is in it. false with err: an unknown macro. */
bool pipe_expand(const struct pipe_attributes *a, const char *recipient_delimiter,
	const struct delivery_request *request, struct pool *pool, const char *const **argv, struct err *err);
/* The sender as macros and headers show it. */
const char *pipe_sender(const struct pipe_attributes *a, const struct delivery_request *request);

struct pipe_env {
	const struct config *cfg;
	struct pipe_attributes attributes;
	const char *const *environment;
	struct maps *filter;
	int time_limit; /* seconds */
	struct pool *pool;
};

/* The outcome for all recipients of the request. corrupt: the queue file is damaged, the outcome does not
 * count. */
const struct dsn *pipe_deliver(const struct pipe_env *env, struct agent_delivery *d, bool *corrupt);

#endif
