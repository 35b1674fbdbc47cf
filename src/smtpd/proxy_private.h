/* What proxy.c and proxy_client.c share. */
#ifndef SMTPD_PROXY_PRIVATE_H
#define SMTPD_PROXY_PRIVATE_H

#include "base/buf.h"
#include "base/mem.h"
#include "base/stream.h"
#include "smtpd/proxy.h"

/* For privacy the client is told no more (SMTPD_PROXY_README). */
#define PROXY_TROUBLE "451 4.3.0 Error: queue file write error"

struct proxy {
	struct session *s;
	struct pool *pool;    /* the transaction's */
	const char *endpoint; /* as net_connect_endpoint() wants it */
	struct stream *io;    /* NULL: not connected */
	bool late;	      /* speed_adjust: the conversation begins after the content */
	bool lost;	      /* what the filter took of the message is gone: nothing more can be done */
	bool too_big;
	bool in_content;
	const char *first_recipient;
	const char **recipients; /* as said; late */
	size_t count, cap;	 /* of accepted ones */
	uint64_t size;
	bool first_of_line; /* of the content written to io */
	int file;	    /* late: the content, in a file without a name; -1 */
	struct buf pending; /* late: not yet in the file */
	struct buf clean;   /* a line without stray line ends */
};

/* ---- proxy_client.c: the conversation */

/* Connects, greets, tells of the client, and begins the transaction. NULL: done. Else there is no connection.
 */
const char *proxy_client_begin(struct proxy *p);
/* Says a command and hears its answer, which should begin with that digit. NULL: it does. Else the refusal;
 * the connection may be gone. */
const char *proxy_client_ask(struct proxy *p, const char *command, int wanted);
/* The same without saying anything; *text is the answer. after: what is logged as refused; NULL: nothing is.
 */
const char *proxy_client_hear(struct proxy *p, const char *after, int wanted, const char **text);
/* Takes leave. */
void proxy_client_end(struct proxy *p);

#endif
